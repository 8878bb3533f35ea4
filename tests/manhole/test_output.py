"""Who gets what code prints, and what becomes of floods."""

import asyncio
import contextlib
import io
import sys
import threading
from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred, succeed
from sshkit.manhole import output as output_module
from sshkit.manhole import routing
from sshkit.manhole.session_builtins import ainput
from sshkit.ssh.errors import LocalProtocolError
from tests.manhole.talk import Talk, answers, run


def test_prints_of_the_program_go_where_they_went_before() -> None:
    async def test(talk: Talk) -> None:
        print("the program's")  # noqa: T201
        assert await talk.say("print('mine')") == "mine\n"
        assert "the program's" not in talk.shown

    before = io.StringIO()
    with contextlib.redirect_stdout(before):
        run(test)
    assert before.getvalue() == "the program's\n"


def test_two_sessions_never_see_each_others_prints() -> None:
    async def main() -> None:
        one, two = Talk(), Talk(threaded=True)
        await one.say("print(1)")
        await two.say("import sys; print(2, file=sys.stderr)")
        one.session.close()
        await two.say("print(3)")
        assert (one.shown, two.shown) == ("1\n", "2\n3\n")
        two.session.close()

    sshkit.run(main(), "native")


@pytest.mark.parametrize("threaded", [False, True])
def test_a_thread_belongs_to_the_session_that_started_it(threaded: bool) -> None:
    async def test(talk: Talk) -> None:
        source = (
            "import threading\n"
            "inner = lambda: print('inner')\n"
            "def outer():\n    print('outer')\n    t = threading.Thread(target=inner)\n    t.start(); t.join()\n\n"  # noqa: E501
            "t = threading.Thread(target=outer)\nt.start(); t.join()\nprint('end')\n"
        )
        shown = await talk.say(source)
        assert sorted(shown.split()) == ["end", "inner", "outer"]

    run(test, threaded=threaded)


def test_a_thread_of_the_program_is_no_sessions() -> None:
    async def test(talk: Talk) -> None:
        thread = threading.Thread(target=lambda: print("program"))  # noqa: T201
        thread.start()
        thread.join()
        assert talk.shown == ""

    with contextlib.redirect_stdout(io.StringIO()) as before:
        run(test)
    assert before.getvalue() == "program\n"


def test_tasks_of_a_session_print_to_it_after_the_input_has_ended() -> None:
    async def main() -> None:
        talk = Talk()
        await talk.say("import asyncio\nasync def later():\n    await asyncio.sleep(0)\n    print('later')\n")
        await talk.say("t = asyncio.ensure_future(later())")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert talk.shown == "later\n"
        talk.session.close()

    asyncio.run(main())


def test_the_stream_hands_everything_on_for_the_program() -> None:
    raw = io.BytesIO()
    below = io.TextIOWrapper(raw, encoding="latin-1")
    stream = routing.RoutedStream(below)
    stream.writelines(["a", "b"])
    stream.flush()
    assert raw.getvalue() == b"ab"
    assert stream.encoding == "latin-1"
    assert stream.buffer is raw
    assert stream.errors == "strict"
    assert not stream.isatty()
    with pytest.raises(io.UnsupportedOperation):
        stream.fileno()
    assert "TextIOWrapper" in repr(stream)


def test_the_stream_is_a_sessions_own_for_its_code() -> None:
    found = answers(
        "import sys",
        "sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.flush()",
        "sys.stdout.fileno()",
        "sys.stdout.buffer.write(b'bytes\\xff\\n'); sys.stdout.buffer.flush()",
        "sys.stdout.write(5)",
        "sys.stdout.writelines(['a', 'b\\n'])",
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as s: print('kept')\n\ns.getvalue()",  # noqa: E501
    )
    assert found[1] == "('utf-8', False, None)\n"
    assert "UnsupportedOperation" in found[2]
    assert found[3] == "bytes\\xff\n"
    assert "must be str, not int" in found[4]
    assert found[5] == "ab\n"
    assert found[6] == "'kept\\n'\n"


def test_what_others_put_over_sys_stdout_stays_and_inputs_are_caught_nevertheless() -> None:
    async def test(talk: Talk) -> None:
        theirs = io.StringIO()
        before = sys.stdout
        sys.stdout = theirs
        try:
            assert await talk.say("print('mine')") == "mine\n"
            print("the program's")  # noqa: T201
            assert theirs.getvalue() == "the program's\n"
        finally:
            sys.stdout = before

    run(test)
    assert not isinstance(sys.stdout, routing.RoutedStream)


def test_what_others_replaced_meanwhile_is_not_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def theirs(*args: Any) -> None:
        pass

    async def test(talk: Talk) -> None:
        monkeypatch.setattr(sys, "breakpointhook", theirs)

    run(test)
    assert sys.breakpointhook is theirs


def test_code_of_a_closed_session_prints_where_the_program_does() -> None:
    async def test(talk: Talk) -> None:
        await talk.say("def shout(): print('late')\n")
        talk.session.close()
        context_print = talk.session.namespace["shout"]
        talk.session._context.run(context_print)
        routing.cover_streams()

    with contextlib.redirect_stdout(io.StringIO()) as before:
        talk = run(test)
    assert before.getvalue() == "late\n"
    assert talk.shown == ""


def test_a_flood_in_the_loops_thread_is_cut_with_a_line_that_says_how_much() -> None:
    async def test(talk: Talk) -> None:
        await talk.say("for _ in range(2000): print('x' * 999)\n")
        await talk.session.reactor.defer_to_thread(lambda: None)
        assert len(talk.shown) < output_module.LOOP_AHEAD + 2 * output_module.UNASKED
        assert f"[{2000 * 1000 - output_module.LOOP_AHEAD} characters were dropped" in talk.shown
        assert await talk.say("print('after')") == "after\n"

    run(test)


def test_a_slow_reader_makes_a_thread_wait_and_ctrl_c_ends_it() -> None:
    waiting: list[Deferred[None]] = []

    def drained() -> Deferred[None]:
        waiting.append(Deferred())
        return waiting[-1]

    async def test(talk: Talk) -> None:
        reactor = talk.session.reactor
        running = sshkit.ensure_deferred(talk.session.run("while True: print('x' * 1000)\n"))
        while not waiting:
            await reactor.defer_to_thread(lambda: None)
        most = 3 * output_module.THREADS_AHEAD + output_module.UNASKED
        for _ in range(20):
            await reactor.defer_to_thread(lambda: None)
        assert len(talk.shown) < most
        waiting.pop().callback(None)
        while not waiting:
            await reactor.defer_to_thread(lambda: None)
        assert len(talk.shown) > output_module.UNASKED
        talk.session.interrupt()
        await running
        assert talk.shown.endswith("KeyboardInterrupt\n")

    run(test, threaded=True, drained=drained)


def test_a_thread_that_waits_is_let_go_when_the_session_ends() -> None:
    never: Deferred[None] = Deferred()

    async def test(talk: Talk) -> None:
        source = (
            "import threading\n"
            "def flood():\n    for _ in range(400): print('x' * 1000)\n\n"
            "t = threading.Thread(target=flood); t.start()\n"
        )
        await talk.say(source)
        thread = talk.session.namespace["t"]
        while not talk.session._output._waits:
            await talk.session.reactor.defer_to_thread(lambda: None)
        talk.session.close()
        await talk.session.reactor.defer_to_thread(thread.join)

    with contextlib.redirect_stdout(io.StringIO()):
        run(test, threaded=True, drained=lambda: never)


def test_input_asks_the_person_from_a_thread_and_ainput_in_the_loop() -> None:
    asked: list[str] = []

    def read_line(prompt: str) -> Deferred[str]:
        asked.append(prompt)
        return succeed("the line")

    assert answers("input('name? ')", threaded=True, read_line=read_line) == ["'the line'\n"]
    found = answers("input('x')", "await ainput('more? ')", read_line=read_line)
    assert "use `await ainput()`" in found[0]
    assert found[1] == "'the line'\n"
    assert asked == ["name? ", "more? "]
    assert "EOFError: nobody can be asked" in answers("input()", threaded=True)[0]


def test_ainput_outside_a_session_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="none's code"):
        sshkit.run(ainput(), "native")


def test_input_after_the_session_has_ended_is_the_end_of_the_file() -> None:
    async def test(talk: Talk) -> None:
        builtins = talk.session._output.builtins
        talk.session.close()
        with pytest.raises(EOFError):
            builtins.ask("")

    run(test)


def test_help_is_plain_text_and_never_a_pager() -> None:
    found = answers("help(len)", "help()", "help('no such thing')", "help('json')")
    assert "Return the number of items" in found[0]
    assert "%help lists" in found[1]
    assert "No Python documentation found" in found[2]
    assert "JSON" in found[3]
    assert "\b" not in found[0]


def test_breakpoint_debugs_in_a_thread_and_is_refused_in_the_loop() -> None:
    lines = iter(["p x", "u", "where", "c"])
    asked: list[str] = []

    def read_line(prompt: str) -> Deferred[str]:
        asked.append(prompt)
        return succeed(next(lines))

    source = "def f():\n    x = 40 + 2\n    breakpoint()\n    return x\n"
    found = answers(source, "f()", threaded=True, read_line=read_line)
    assert "42\n" in found[1]
    assert found[1].endswith("42\n")
    found = answers("breakpoint()")
    assert "would stop the whole program" in found[0]
