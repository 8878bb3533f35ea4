"""Inputs, results, errors, interruptions: with our reactor, with asyncio, and in a thread."""

import asyncio
import contextlib
import sys
import threading
from typing import Any

import pytest

import sshkit
from sshkit.deferred import CancelledError, Deferred, succeed
from sshkit.manhole.access import EXPRESSIONS, commands_only
from sshkit.manhole.display import Limits
from sshkit.manhole.interpreter import Interpreter
from sshkit.manhole.session_thread import SessionThread
from sshkit.ssh.errors import LocalProtocolError
from tests.manhole.talk import Talk, answers, run


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("engine", ["native", "direct"])
def test_inputs_run_in_one_namespace_and_their_values_are_shown_and_kept(engine: str, threaded: bool) -> None:
    names: dict[str, Any] = {}
    found = answers(
        "x = 20 + 1", "x * 2", "_ + 1", "None", "_", "__", "_2", "for i in range(2):\n    print(i)\n", "'a'; 'b'",  # noqa: E501
        "___", "   ", namespace=names, engine=engine, threaded=threaded,
    )  # fmt: skip
    assert found == ["", "42\n", "43\n", "", "43\n", "43\n", "42\n", "0\n1\n", "'b'\n", "43\n", ""]
    assert names["_2"] == 42


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("engine", ["native", "direct"])
def test_await_and_async_blocks_work_at_the_top_level(engine: str, threaded: bool) -> None:
    found = answers(
        "from sshkit.deferred import succeed, Deferred, DeferredEvent",
        "await succeed(5)",
        "x = await succeed(2)\nx + 1",
        "async def numbers():\n    yield 1\n    yield 2\n",
        "async for n in numbers():\n    print(n)\n",
        "[n async for n in numbers()]",
        "import contextlib\n"
        "@contextlib.asynccontextmanager\nasync def manager():\n    yield 'inside'\n\n"
        "async with manager() as inside:\n    print(inside)\n",
        "await undefined",
        engine=engine,
        threaded=threaded,
    )
    assert found[1:7] == ["5\n", "3\n", "", "1\n2\n", "[1, 2]\n", "inside\n"]
    assert "NameError: name 'undefined'" in found[7]


def test_asyncios_own_things_are_awaited_on_a_plain_asyncio_loop() -> None:
    async def main() -> None:
        talk = Talk()
        await talk.say("import asyncio")
        assert await talk.say("await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))") == "[1, 2]\n"
        source = (
            "async with asyncio.timeout(10):\n    print(await asyncio.create_task(asyncio.sleep(0, 3)))\n"
        )
        assert await talk.say(source) == "3\n"
        shown = await talk.say("t = asyncio.ensure_future(asyncio.sleep(0, 4)); t")
        assert shown.startswith("Task #1: <Task pending")
        await talk.say("await t")
        await asyncio.sleep(0)
        assert "Task #1 -> 4\n" in talk.shown
        talk.session.close()

    asyncio.run(main())


def test_uvloop_serves_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        talk = Talk(threaded=True)
        assert await talk.say("import asyncio\nawait asyncio.sleep(0, 'slept')") == "'slept'\n"
        talk.session.close()

    uvloop.run(main())


def test_code_is_run_in_a_thread_only_if_that_is_asked_for() -> None:
    here = threading.get_ident()
    source = "import threading; threading.get_ident()"
    assert answers(source) == [f"{here}\n"]
    assert answers(source, threaded=True) != [f"{here}\n"]
    assert answers(
        source + "\n(await __import__('sshkit').deferred.succeed(threading.get_ident()))", threaded=True
    ) == [f"{here}\n"]


def test_an_editor_learns_whether_an_input_is_complete() -> None:
    async def test(talk: Talk) -> None:
        state = talk.session.state
        assert [state(source) for source in ("1", "", "%who", "x?", "await x", "for x in y: pass")] == [
            "complete"
        ] * 6
        assert [state(s) for s in ("for x in y:", "(", "'''a", "if x:\n    pass", "@f")] == ["incomplete"] * 5
        assert [state(s) for s in ("1 +", "a b", "\0", "(" * 400)] == ["invalid"] * 4
        assert state("if x:\n    pass\n") == "complete"

    run(test)


@pytest.mark.parametrize("threaded", [False, True])
def test_an_error_shows_the_frames_of_the_person_and_none_of_ours(threaded: bool) -> None:
    found = answers(
        "def f():\n    return 1 / 0\n",
        "f()",
        "async def g():\n    f()\n",
        "await g()",
        "raise ValueError('\\x1b[2J')",
        "x = = 1",
        "return 1",
        "class Bad(Exception):\n    def __str__(self): raise TypeError('no')\n",
        "raise Bad",
        "raise ExceptionGroup('group', [ValueError(1), KeyError(2)])",
        "try:\n    f()\nexcept Exception as e:\n    raise KeyError('k') from e\n",
        "def deep(): deep()\n",
        "deep()",
        threaded=threaded,
    )
    for shown in found:
        assert "sshkit/" not in shown
    assert "    return 1 / 0\n" in found[1]
    assert found[1].index("in <module>") < found[1].index("in f")
    assert "in g" in found[3]
    assert "^" in found[5]
    assert "SyntaxError" in found[5]
    assert "outside function" in found[6]
    assert "Bad: <exception str() failed>" in found[8]
    assert "ValueError: 1" in found[9]
    assert "KeyError: 2" in found[9]
    assert "direct cause" in found[10]
    assert "ZeroDivisionError" in found[10]
    assert "RecursionError" in found[12]


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize(
    ("source", "status", "shown"),
    [
        ("import sys; sys.exit()", 0, ""),
        ("exit(3)", 3, ""),
        ("quit(True)", 1, ""),
        ("raise SystemExit('bye')", 1, "bye\n"),
        ("import sys\nfrom sshkit.deferred import succeed\nawait succeed(1)\nsys.exit(4)", 4, ""),
        ("async def f(): raise SystemExit(5)\n\nawait f()", 5, ""),
    ],
)
def test_an_exit_ends_the_session_and_not_the_program(
    source: str, status: int, shown: str, threaded: bool
) -> None:
    async def test(talk: Talk) -> None:
        assert await talk.say(source) == shown
        assert talk.outcome == (False, False, status)

    run(test, threaded=threaded)


def test_evaluate_returns_the_value_and_raises_the_error_of_the_code() -> None:
    async def test(talk: Talk) -> None:
        session = talk.session
        assert await session.evaluate("a = 1\na + 1") == 2
        assert await session.evaluate("a = 1") is None
        assert await session.evaluate("%history 1") == "3: %history 1"
        with pytest.raises(ZeroDivisionError):
            await session.evaluate("1 / 0")
        with pytest.raises(SyntaxError):
            await session.evaluate("1 +")
        assert talk.shown == ""

    run(test)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("engine", ["native", "direct"])
def test_ctrl_c_cancels_what_is_awaited_and_the_session_goes_on(engine: str, threaded: bool) -> None:
    async def test(talk: Talk) -> None:
        cancelled: list[bool] = []
        never: Deferred[None] = Deferred(lambda _: cancelled.append(True))
        talk.session.namespace["never"] = never
        assert not talk.session.interrupt()
        talk.session.reactor.call_soon(lambda: None)
        talk.session.reactor.call_later(0.01, talk.session.interrupt)
        assert await talk.say("await never") == "KeyboardInterrupt\n"
        assert talk.outcome == (True, True, None)
        assert cancelled == [True]
        assert await talk.say("1 + 1") == "2\n"

    run(test, engine=engine, threaded=threaded)


def test_ctrl_c_ends_a_loop_that_runs_for_ever_in_the_sessions_thread() -> None:
    async def test(talk: Talk) -> None:
        def begun() -> None:
            talk.session.reactor.call_from_thread(talk.session.interrupt)

        talk.session.namespace["begun"] = begun
        assert await talk.say("begun()\nwhile True: pass\n") == "KeyboardInterrupt\n"
        assert talk.outcome == (True, True, None)
        assert await talk.say("'still here'") == "'still here'\n"
        assert await talk.say("raise KeyboardInterrupt") == "KeyboardInterrupt\n"

    run(test, threaded=True)


def test_a_thread_that_is_idle_is_not_interrupted() -> None:
    async def test(talk: Talk) -> None:
        thread = SessionThread("test", talk.session.reactor, lambda: None)
        assert not thread.interrupt()
        assert (await thread.call(lambda: 5)).value == 5
        assert not thread.interrupt()
        thread.close()

    run(test)


def test_a_session_closed_in_the_middle_cancels_and_is_silent() -> None:
    async def test(talk: Talk) -> None:
        never: Deferred[None] = Deferred()
        talk.session.namespace["never"] = never
        talk.session.reactor.call_later(0.01, talk.session.close)
        assert await talk.say("await never\nprint('not reached')") == ""
        assert talk.outcome.raised
        assert talk.session.closed
        talk.session.close()
        with pytest.raises(LocalProtocolError, match="closed"):
            await talk.session.run("1")

    run(test)


def test_a_second_input_meanwhile_is_refused() -> None:
    async def test(talk: Talk) -> None:
        with pytest.raises(LocalProtocolError, match="runs already"):
            await talk.session.evaluate("await again()")

    async def again() -> None:
        await sessions[0].run("2")

    sessions: list[Interpreter] = []

    async def main() -> None:
        talk = Talk({"again": again})
        sessions.append(talk.session)
        assert not talk.session.busy
        await test(talk)
        talk.session.close()

    sshkit.run(main(), "native")


def test_a_cancellation_from_outside_is_passed_on() -> None:
    async def main() -> None:
        talk = Talk({"never": Deferred()})
        task = asyncio.ensure_future(talk.session.run("await never"))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        talk.session.close()

    asyncio.run(main())


def test_what_has_not_fired_is_shown_with_a_number_and_again_when_it_fires() -> None:
    async def test(talk: Talk) -> None:
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        third: Deferred[int] = Deferred()
        waits = succeed(1).add_callback(lambda _: third)
        talk.session.namespace.update(first=first, second=second, waits=waits, fired=succeed(5))
        assert (await talk.say("first")).startswith("Deferred #1: <Deferred at ")
        assert (await talk.say("second")).startswith("Deferred #2: ")
        assert (await talk.say("waits")).startswith("Deferred #3: ")
        assert "fired with int" in await talk.say("fired")
        before = len(talk.shown)
        second.errback(ValueError("bad"))
        first.callback(42)
        assert talk.shown[before:] == "Deferred #2 failed ValueError: bad\nDeferred #1 -> 42\n"
        second.add_errback(lambda _: None)
        talk.session.close()
        before = len(talk.shown)
        third.callback(1)
        assert talk.shown[before:] == ""

    run(test)


def test_futures_that_fail_or_are_cancelled_are_told_of() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        talk = Talk({"one": loop.create_future(), "two": loop.create_future(), "done": loop.create_future()})
        names = talk.session.namespace
        names["done"].set_result(1)
        await talk.say("one")
        await talk.say("two")
        assert "finished" in await talk.say("done")
        names["one"].set_exception(OSError("gone"))
        names["two"].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "#1 failed OSError: gone\n" in talk.shown
        assert "#2 failed cancelled\n" in talk.shown
        talk.session.close()

    asyncio.run(main())


def test_a_coroutine_that_nobody_awaits_says_so() -> None:
    found = answers("async def f(): return 6\n", "f()", "await _")
    assert "nobody has awaited" in found[1]
    assert found[2] == "6\n"


def test_more_values_than_one_session_may_wait_for_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.pending.MOST_PENDING", 0)
    assert "not watched" in answers("from sshkit.deferred import Deferred", "Deferred()")[1]


def test_a_key_that_only_reads_or_commands_runs_no_python() -> None:
    names: dict[str, Any] = {"x": 3}
    found = answers(
        "x + 1", "x = 5", "open('/etc/passwd')", "_", "%who", "%gc", namespace=names, access=EXPRESSIONS
    )
    assert found[0] == "4\n"
    assert found[1].startswith("NotAllowed: a statement (assign)")
    assert found[2].startswith("NotAllowed: the builtin open")
    assert "NameError" in found[3]
    assert found[4].startswith("x 3")
    assert found[5].startswith("NotAllowed: %gc is not allowed")
    assert names == {"x": 3}
    found = answers(
        "x", "%who", "%time x = 2", "%tasks", namespace=names, access=commands_only("who", "time")
    )
    assert found[0].startswith(
        "NotAllowed: Python is not allowed to this key, it may run the commands %time, %who"
    )
    assert found[1].startswith("x 3")
    assert "NotAllowed" in found[2]
    assert found[3].startswith("NotAllowed: %tasks")
    assert names == {"x": 3}


def test_a_repr_that_never_ends_is_stopped_in_threaded_mode() -> None:
    found = answers(
        "class Endless:\n    def __repr__(self):\n        while True: pass\n",
        "Endless()",
        "'next'",
        threaded=True,
        limits=Limits(seconds=0.05),
    )
    assert (
        found[1] == "<__main__.Endless whose repr did not end within 0.05 s>\n" or "did not end" in found[1]
    )
    assert found[2] == "'next'\n"


def test_a_repr_that_leaves_is_the_persons_own_error() -> None:
    found = answers("class Leaves:\n    def __repr__(self): raise KeyboardInterrupt\n", "Leaves()", "%more")
    assert found[1:] == ["KeyboardInterrupt\n", "KeyboardInterrupt\n"]


def test_sources_of_inputs_are_forgotten_with_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    import linecache

    monkeypatch.setattr("sshkit.manhole.inputs.KEPT_SOURCES", 2)

    async def test(talk: Talk) -> None:
        for _ in range(4):
            await talk.say("1")
        mine = [name for name in linecache.cache if name.endswith(f"of session {talk.session.session}>")]
        assert len(mine) == 2

    talk = run(test)
    assert not [name for name in linecache.cache if name.endswith(f"of session {talk.session.session}>")]


def test_an_input_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.inputs.LONGEST_INPUT", 10)
    assert "may have 10 characters" in answers("1 + 1 + 1 + 1 + 1")[0]


def test_a_future_statement_holds_for_the_inputs_after_it() -> None:
    found = answers("from __future__ import annotations", "def f(a: nothing): pass\n", "f.__annotations__")
    assert found == ["", "", "{'a': 'nothing'}\n"]


def test_a_session_leaves_nothing_replaced() -> None:
    before = (sys.stdout, sys.stderr, input, help, sys.breakpointhook, threading.Thread.start)
    answers("1")
    assert (sys.stdout, sys.stderr, input, help, sys.breakpointhook, threading.Thread.start) == before


def test_cancelled_errors_of_the_program_are_shown_as_errors() -> None:
    async def test(talk: Talk) -> None:
        talk.session.namespace["error"] = CancelledError
        assert "CancelledError" in await talk.say("raise error")
        assert talk.outcome == (True, True, None)

    run(test)
