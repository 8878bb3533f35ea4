"""The subsystem "manhole": JSON lines for tools."""

import asyncio
import json
from typing import Any

import pytest

from sshkit.manhole import EXPRESSIONS
from sshkit.manhole.json_lines import MAX_DEPTH, is_plain
from tests.manhole.rooms import WAIT, App, Visitor, opened


class Tool:
    """A client that speaks JSON lines."""

    def __init__(self, process: Any) -> None:
        self.process = process

    def say(self, **question: Any) -> None:
        self.process.stdin.write(json.dumps(question) + "\n")

    async def hear(self) -> dict[str, Any]:
        import sshkit

        line = await self.process.stdout.read_line().add_timeout(WAIT, sshkit.current_reactor())
        return dict(json.loads(line)) if line else {}

    async def end(self) -> int:
        self.process.stdin.write_eof()
        await self.process.wait()
        return int(self.process.exit_status)


def tooled(names: dict[str, Any], test: Any, **settings: Any) -> list[str]:
    async def with_tool(door: Any, connection: Visitor) -> None:
        await test(Tool(await connection.subsystem("manhole")))

    return opened(names, with_tool, **settings)


def test_values_come_as_json_where_json_can_say_them() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, run="app.users")
        assert await tool.hear() == {
            "id": 1,
            "ok": True,
            "type": "list",
            "repr": "['ann', 'bob']",
            "value": ["ann", "bob"],
        }
        tool.say(id=2, run="app")
        answer = await tool.hear()
        assert "value" not in answer
        assert answer["type"].endswith("App")
        tool.say(id=3, run="x = 5")
        assert (await tool.hear())["repr"] == "None"
        tool.say(id=4, run="x")
        assert (await tool.hear())["value"] == 5
        assert await tool.end() == 0

    assert tooled({"app": App()}, test) == []


def test_output_comes_before_the_answer_and_errors_with_their_traceback() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id="a", run="print('one')\n1/0")
        said = ""
        while "output" in (answer := await tool.hear()):
            said += answer["output"]
            assert answer["id"] == "a"
        assert said == "one\n"
        assert (answer["ok"], answer["error"]["type"]) == (False, "ZeroDivisionError")
        assert answer["error"]["text"] == "division by zero"
        assert "1/0" in answer["error"]["traceback"]
        tool.say(id="b", run="raise KeyboardInterrupt")
        assert (await tool.hear())["error"]["type"] == "KeyboardInterrupt"

    assert tooled({}, test) == []


def test_completions_and_documents_do_not_wait_for_what_runs() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, run="await asyncio.sleep(1000)")
        tool.say(id=2, complete="app.us", cursor=6)
        answer = await tool.hear()
        assert answer["id"] == 2
        assert [each["text"] for each in answer["candidates"]] == ["users"]
        tool.say(id=3, document="len")
        assert "number of items" in (await tool.hear())["text"]
        tool.say(id=4, interrupt=True)
        assert await tool.hear() == {"id": 4, "ok": True, "interrupted": True}
        assert (await tool.hear())["error"]["type"] in ("CancelledError", "KeyboardInterrupt")
        tool.say(id=5, interrupt=True)
        assert await tool.hear() == {"id": 5, "ok": True, "interrupted": False}

    assert tooled({"app": App(), "asyncio": asyncio}, test) == []


def test_a_flood_of_output_waits_for_the_client() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, run="for number in range(5000): print('x' * 99)")
        size = 0
        while "output" in (answer := await tool.hear()):
            size += len(answer["output"])
        assert answer["ok"] is True
        assert size == 500_000

    assert tooled({}, test, threaded=True) == []


def test_a_value_whose_repr_does_not_return_is_an_error() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, run="class A:\n    def __repr__(self): raise KeyboardInterrupt\nA()")
        assert (await tool.hear())["error"]["type"] == "KeyboardInterrupt"
        tool.say(id=2, run="float('nan'), 1j")
        assert "value" not in await tool.hear()

    assert tooled({}, test) == []


def test_exit_ends_the_session_with_its_status() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, run="exit(4)")
        tool.say(id=2, run="1")
        assert await tool.hear() == {"id": 1, "exit": 4}
        assert await tool.hear() == {}
        await tool.process.wait()
        assert tool.process.exit_status == 4

    assert tooled({}, test) == []


def test_what_is_asked_before_the_end_of_input_is_answered() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, run="await asyncio.sleep(0.01, 1)")
        tool.process.stdin.write('{"id": 2, "run": "2"}')  # without an end of line
        tool.process.stdin.write_eof()
        assert (await tool.hear())["value"] == 1
        assert (await tool.hear())["value"] == 2
        assert await tool.hear() == {}

    assert tooled({"asyncio": asyncio}, test) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("}{", "line 2: not JSON"),
        ("[" * 5000, "line 2: not JSON"),
        ("[1]", "line 2: a question is an object"),
        ('{"id": 3}', "line 2: one of run, complete, document and interrupt is needed"),
        ('{"run": 5}', "line 2: one of run"),
    ],
)
def test_a_line_that_is_no_question_is_told_and_the_session_goes_on(line: str, told: str) -> None:
    async def test(tool: Tool) -> None:
        tool.process.stdin.write("\n" + line + "\n")
        answer = await tool.hear()
        assert answer["error"]["type"] == "ProtocolError"
        assert answer["error"]["text"].startswith(told)
        tool.say(id=1, run="1")
        assert (await tool.hear())["ok"] is True

    assert tooled({}, test) == []


def test_what_is_too_long_or_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.json_lines.MAX_LINE", 1000)
    monkeypatch.setattr("sshkit.manhole.json_lines.MAX_WAITING", 1)
    monkeypatch.setattr("sshkit.manhole.json_lines.MAX_VALUE", 10)

    async def test(tool: Tool) -> None:
        tool.say(id=0, run="list(range(100))")
        assert "value" not in await tool.hear()
        tool.say(id=1, run="await asyncio.sleep(1000)")
        tool.say(id=2, run="2")
        tool.say(id=3, run="3")
        assert (await tool.hear())["error"]["text"] == "1 questions wait already"
        tool.say(id=4, interrupt=True)
        assert (await tool.hear())["ok"] is True
        assert (await tool.hear())["ok"] is False
        assert (await tool.hear())["value"] == 2
        tool.process.stdin.write("x" * 2000)
        assert (await tool.hear())["error"]["text"] == "line 6: a line is 1000 bytes at most"
        assert await tool.hear() == {}

    assert tooled({"asyncio": asyncio}, test) == []


def test_who_may_only_evaluate_expressions_gets_no_completions() -> None:
    async def test(tool: Tool) -> None:
        tool.say(id=1, complete="app.", cursor=4)
        assert (await tool.hear())["ok"] is False
        tool.say(id=2, document="app")
        assert (await tool.hear())["ok"] is False
        tool.say(id=3, run="app.users")
        assert (await tool.hear())["ok"] is True
        tool.say(id=4, run="app.users.clear()")
        assert (await tool.hear())["error"]["type"] == "NotAllowed"

    assert tooled({"app": App()}, test, access=EXPRESSIONS) == []


def test_a_client_that_goes_while_something_runs_leaves_nothing_behind() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        from tests.manhole.rooms import login

        async with login(door.port) as other:
            tool = Tool(await other.subsystem("manhole"))
            tool.say(id=1, run="print('begun'); await asyncio.sleep(1000)")
            await tool.hear()
        while door.sessions.open:
            await asyncio.sleep(0)

    assert opened({"asyncio": asyncio}, test) == []


def test_only_values_of_jsons_own_types_are_plain() -> None:
    class Mine(dict[str, int]):
        """Runs code of its own."""

    assert is_plain({"a": [1, 2.5, None, True, ("x",)]})
    assert not is_plain(Mine())
    assert not is_plain({1: 2})
    assert not is_plain([object()])
    deep: list[Any] = []
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    assert not is_plain(deep)
