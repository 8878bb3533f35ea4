"""The magic commands, in a session and as plain functions."""

import asyncio
import gc
import logging
import sys
import threading
from typing import Any

import pytest

import sshkit
from sshkit.deferred import Deferred, ensure_deferred, succeed
from sshkit.manhole import magic
from sshkit.manhole.access import EXPRESSIONS, commands_only
from sshkit.manhole.magic import logs, measuring, program
from tests.manhole.talk import Talk, answers, run
from tests.server.test_serve import HOST_KEY, KEY


class Counted:
    """A class to count objects of."""


def test_help_lists_what_the_key_may_run() -> None:
    found = answers("%help", "%help who", "%help %tb", "%help nothng", "%nothing", "%tsks", "%")
    assert [line.split()[0] for line in found[0].splitlines()[:-1]] == [f"%{name}" for name in magic.MAGICS]
    assert found[1] == "%who [people]\n    names and what they hold; people\n"
    assert found[2].startswith("%tb [locals]")
    assert "no command %nothng" in found[3]
    assert found[4] == "UnknownCommand: no command %nothing; %help lists them\n"
    assert found[5] == "UnknownCommand: no command %tsks; near it: %tasks\n"
    assert "no command %" in found[6]
    assert "%gc" not in answers("%help", access=EXPRESSIONS)[0]
    assert answers("%help", access=commands_only("help"))[0].count("\n") == 2


def test_threads_shows_where_each_stands() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="waits\x1b", daemon=True)
    thread.start()
    try:
        found = answers("%threads", "%threads x")
    finally:
        stop.set()
        thread.join()
    assert "waits\\x1b daemon" in found[0]
    assert "MainThread (this one)" in found[0]
    assert "wait" in found[0]
    assert found[1] == "WrongArguments: %threads : it takes no arguments, not 'x'\n"


def test_a_thread_that_threading_does_not_know_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {1: sys._getframe(), threading.get_ident(): sys._getframe()}
    monkeypatch.setattr(sys, "_current_frames", lambda: frames)
    assert program.threads().startswith("1: not of Python's threading module")


def test_tasks_shows_where_each_waits() -> None:
    async def waits() -> None:
        await never()

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        task = asyncio.create_task(waits(), name="the\x1btask")
        await asyncio.sleep(0)
        talk = Talk()
        shown = await talk.say("%tasks")
        assert "the\\x1btask: <coroutine" in shown
        assert shown.index("never") > 0
        talk.session.close()
        task.cancel()

    asyncio.run(main())
    assert answers("%tasks") == ["no asyncio loop runs in this thread\n"]


def test_deferreds_shows_those_that_somebody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    lonely: Deferred[int] = Deferred()
    awaited: Deferred[int] = Deferred()

    async def waits() -> None:
        await awaited

    def called(value: None) -> None:
        return value

    running = ensure_deferred(waits())
    running.add_callback(called)
    third: Deferred[int] = Deferred()
    third.add_errback(lambda failure: None)
    text = magic.deferreds()
    assert f"{id(lonely):#x}" not in text
    assert f"{id(awaited):#x}" in text
    assert "waited for by test_deferreds_shows_those_that_somebody_waits_for.<locals>.waits" in text
    assert "called" in text
    monkeypatch.setattr(program, "MOST_LISTED", 1)
    assert "Deferreds more" in magic.deferreds()
    awaited.callback(1)
    third.callback(1)


def test_connections_shows_both_sides_of_an_ssh_connection() -> None:
    async def handler(session: Any) -> int:
        await started[0]
        return 0

    started: list[Deferred[None]] = [Deferred()]

    async def main() -> None:
        served = sshkit.serve("127.0.0.1:0", handler, host_keys=[HOST_KEY], authorized_keys=[KEY.public])
        async with served as server:
            place = f"jane@127.0.0.1:{server.address[1]}"
            async with sshkit.connect(place, identities=[KEY], host_keys=[HOST_KEY.public]) as client:
                process = await client.start("x")
                text = magic.connections()
                assert "client: jane at" in text
                assert "server: jane from 127.0.0.1:" in text
                assert "channel 0: session" in text
                started[0].callback(None)
                await process.wait()

    sshkit.run(main())


def test_gc_counts_and_collects_only_when_told() -> None:
    found = answers("%gc", "%gc collect", "%gc x")
    assert "generations: " in found[0]
    assert found[1].startswith("collected: ")
    assert found[2] == "WrongArguments: %gc [collect]: it takes collect, not 'x'\n"


def test_objects_counts_those_of_a_class_and_shows_who_holds_them() -> None:
    kept = [Counted(), Counted()]
    found = answers(
        "%objects Counted", f"%objects {__name__}.Counted referrers", "%objects", "%objects no\x1b"
    )
    assert f"{__name__}.Counted: 2\n" in found[0]
    assert "held by" not in found[0]
    assert "held by <list at" in found[1]
    assert "it takes the name of a class" in found[2]
    assert found[3] == "no class is called no\\x1b\n"
    assert len(kept) == 2


def test_profile_looks_at_the_other_threads_while_the_program_goes_on() -> None:
    found = answers("%profile 0.05", "%profile 0", "%profile x")
    assert "samples\n" in found[0]
    assert "anywhere in a stack:\n" in found[0]
    assert "at most 300" in found[1]
    assert "it takes a number, not 'x'" in found[2]
    with pytest.raises(ValueError, match="at most"):
        magic.profile(0)
    stop = threading.Event()
    stop.set()
    assert measuring.profile(100, stop=stop).startswith("0 samples")


def test_ctrl_c_ends_a_profile() -> None:
    async def test(talk: Talk) -> None:
        talk.session.reactor.call_later(0.01, talk.session.interrupt)
        assert await talk.say("%profile 200") == "KeyboardInterrupt\n"

    run(test)


@pytest.mark.parametrize("threaded", [False, True])
def test_time_runs_the_code_and_says_how_long_it_took(threaded: bool) -> None:
    found = answers(
        "%time 1 + 1", "%time x = 3", "%time 1/0", "%time exit(3)", "%time", "x", threaded=threaded
    )
    assert found[0].startswith("2\n")
    assert found[0].endswith("s\n")
    assert found[2].startswith("failed after")
    assert "ZeroDivisionError" in found[2]
    assert "it takes an expression" in found[4]
    assert found[5] == "3\n"
    assert [measuring.duration(seconds) for seconds in (2, 0.002, 0.000002)] == [
        "2.00 s",
        "2.00 ms",
        "2.0 us",
    ]


def test_log_shows_records_until_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("manhole.test")
    monkeypatch.setattr(logger, "propagate", False)  # pytest's own handler raises at the wrong one
    root = logging.getLogger().handlers[:]

    async def test(talk: Talk) -> None:
        assert "showing DEBUG and above of manhole.test" in await talk.say("%log debug manhole.test")
        logger.debug("a \x1b record")
        await talk.session.reactor.defer_to_thread(logger.debug, "from a thread")
        await talk.session.reactor.defer_to_thread(lambda: None)
        logger.debug("%d", "wrong")
        logger.debug("last")
        assert "DEBUG manhole.test: a \\x1b record\n" in talk.shown
        assert "from a thread\n" in talk.shown
        assert "[1 log records were dropped]\n" in talk.shown
        await talk.say("%log off")
        assert logger.level == logging.NOTSET
        await talk.say("%log ERROR")
        assert "it takes" in await talk.say("%log")
        assert "the level is one of DEBUG" in await talk.say("%log LOUD")

    run(test)
    assert logger.handlers == []
    assert logging.getLogger().handlers == root


def test_log_records_that_showing_makes_are_not_shown_and_floods_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    logger = logging.getLogger("manhole.flood")

    async def main() -> None:
        from sshkit.manhole.interpreter import running_reactor

        def say(text: str) -> None:
            shown.append(text)
            logger.error("again")

        reactor = running_reactor()
        detach = logs.attach("ERROR", "manhole.flood", reactor, say)
        logger.error("once")
        assert len(shown) == 1
        monkeypatch.setattr(logs, "MOST_WAITING", 0)
        logger.error("dropped")
        assert len(shown) == 1
        detach()

    sshkit.run(main(), "native")


def test_pdb_prints_the_frames_of_the_last_error_in_the_loop() -> None:
    found = answers(
        "%pdb", "def f(x):\n    y = 2\n    return x / 0\n", "f(5)", "%pdb", "%pdb locals", "%pdb up", "%pdb up",  # noqa: E501
        "%pdb down", "%pdb list", "%pdb x", "1 +", "%pdb where",
    )  # fmt: skip
    assert found[0] == "nothing was raised in this session\n"
    assert found[3].count("\n") == 2
    assert found[4] == "x = 5\ny = 2\n"
    assert found[5].startswith("> <input 3")
    assert found[6] == found[5]
    assert found[7].startswith("> <input 2")
    assert "->     3     return x / 0" in found[8]
    assert "one of where" in found[9]
    assert found[11] == "no frame of the program's code is in it\n"


def test_pdb_debugs_in_a_threaded_session() -> None:
    lines = iter(["p y", "q"])

    def read_line(prompt: str) -> Deferred[str]:
        return succeed(next(lines))

    found = answers(
        "%pdb", "def f():\n    y = 42\n    return y / 0\n", "f()", "%pdb", "%pdb where", "1 +", "%pdb",
        threaded=True, read_line=read_line,
    )  # fmt: skip
    assert "42\n" in found[3]
    assert found[4].startswith("  <input")
    assert found[6] == "no frame of the program's code is in it\n"


def test_pdb_ends_where_nobody_answers() -> None:
    found = answers("1/0", "%pdb", "'next'", threaded=True)
    assert found[2] == "'next'\n"


def test_tb_shows_the_last_error_again_with_locals_on_request() -> None:
    found = answers("%tb", "def f(x): return 1 / x\n", "f(0)", "%tb", "%tb locals", "%tb x")
    assert found[0] == "nothing was raised in this session\n"
    assert found[3] == found[2]
    assert "x = 0" in found[4]
    assert "it takes locals" in found[5]
    assert "not allowed" in answers("nothing", "%tb locals", access=EXPRESSIONS)[1]


def test_who_lists_names_and_people(monkeypatch: pytest.MonkeyPatch) -> None:
    found = answers("%who", "%who people", namespace={"x": 1, "_y": 2}, person="jane")
    assert found[0] == "ainput <function ainput>\nx      1\n"
    assert "jane, may full (this one)" in found[1]
    assert answers("%who", access=EXPRESSIONS) == ["no names\n"]
    monkeypatch.setattr("sshkit.manhole.magic.looking.MOST_NAMES", 1)
    assert "... 1 names more" in magic.who({"a": 1, "b": 2})


def test_more_and_history_and_sources_and_documents() -> None:
    found = answers(
        "%more", "1", "%more", "%history 2", "%source measuring.duration", "%source nothing", "%source 5", "%doc len",  # noqa: E501
        "%doc nothing", "len?", "%source Plain.alone", "%source plain.method",
        namespace=sources(),
    )  # fmt: skip
    assert found[0] == "nothing was shown in this session\n"
    assert found[2] == "1\n"
    assert found[3] == "3: %more\n4: %history 2\n"
    assert "def duration" in found[4]
    assert found[5] == "nothing is known about nothing\n"
    assert found[6].startswith("no source of 5")
    assert found[7].startswith("len(obj)")
    assert found[8] == "nothing is known about nothing\n"
    assert found[9] == found[7]
    assert "Stand alone" in found[10]
    assert "Do one thing" in found[11]


def sources() -> dict[str, Any]:
    from tests.manhole.test_completion import Plain

    return {"measuring": measuring, "Plain": Plain, "plain": Plain()}


def test_reload_loads_a_module_afresh_and_its_exit_ends_the_session_only(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "reloaded_one.py").write_text("x = 1\n")
    import importlib

    importlib.import_module("reloaded_one")
    (tmp_path / "reloaded_one.py").write_text("raise SystemExit(7) # longer than before\n")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    async def test(talk: Talk) -> None:
        await talk.say("%reload reloaded_one")
        assert talk.outcome.exit_status == 7
        assert "it takes the name" in await talk.say("%reload")
        assert await talk.say("%reload no.such") == "no module no.such is loaded\n"
        assert await talk.say("%reload colorsys") in ("reloaded colorsys\n", "no module colorsys is loaded\n")

    import colorsys  # noqa: F401

    run(test)
    del sys.modules["reloaded_one"]
