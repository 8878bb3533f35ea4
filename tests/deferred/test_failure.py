from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from sshkit.deferred import (
    AlreadyCalledError,
    CancelledError,
    Deferred,
    Failure,
    as_deferred,
    ensure_deferred,
    fail,
    maybe_deferred,
    set_unhandled_handler,
    succeed,
)
from sshkit.deferred import failure as failure_module

Unhandled = list[tuple[Failure, str]]


def boom(*_: Any) -> Any:
    raise ValueError("boom")


def caught() -> Failure:
    try:
        boom()
    except ValueError:
        return Failure()
    raise AssertionError


def test_a_failure_keeps_the_whole_traceback_even_when_the_exception_is_raised_again() -> None:
    failure = caught()
    before = traceback.extract_tb(failure.traceback)
    assert [frame.name for frame in before] == ["caught", "boom"]
    with pytest.raises(ValueError, match="boom"):
        failure.raise_exception()
    with pytest.raises(ValueError, match="boom") as info:
        failure.raise_exception()
    assert [frame.name for frame in info.traceback][-2:] == ["caught", "boom"]
    assert len(traceback.extract_tb(info.value.__traceback__)) == 4
    assert traceback.extract_tb(failure.traceback) == before


def test_the_traceback_of_a_callback_reaches_down_to_the_line_that_raised() -> None:
    failures: list[Failure] = []
    succeed(1).add_callback(lambda _: boom()).add_errback(failures.append)
    text = failures[0].text(traceback=True)
    assert "in boom" in text
    assert "in <lambda>" in text
    assert text.endswith("ValueError: boom\n")


def test_check_and_trap_name_the_type_that_fits() -> None:
    failure = Failure(KeyError("x"))
    assert failure.check(ValueError, LookupError) is LookupError
    assert failure.check(ValueError) is None
    assert failure.trap(LookupError) is LookupError
    with pytest.raises(KeyError):
        failure.trap(ValueError)


def test_text_escapes_control_characters() -> None:
    failure = Failure(ValueError("a\x1b[2J\n\u202eb"))
    assert failure.text() == str(failure) == "ValueError: a\\x1b[2J\\n\\u202eb"
    assert repr(failure) == "<Failure ValueError: a\\x1b[2J\\n\\u202eb>"
    assert "\x1b" not in failure.text(traceback=True)
    assert str(Failure(ValueError())) == "ValueError"


def test_a_failure_without_an_exception_is_refused() -> None:
    with pytest.raises(TypeError, match="except clause"):
        Failure()
    with pytest.raises(TypeError, match="not int"):
        Failure(3)  # type: ignore[arg-type]


# Nobody took it


def test_a_failure_nobody_takes_is_reported_once_when_its_deferred_goes(unhandled: Unhandled) -> None:
    deferred = fail(ValueError("x"))
    assert unhandled == []
    del deferred
    assert [(str(failure), places) for failure, places in unhandled] == [("ValueError: x", "")]
    unhandled.clear()
    gc.collect()


def test_a_failure_that_an_errback_took_is_not_reported() -> None:
    fail(ValueError("x")).add_errback(lambda f: None)


def test_a_failure_that_an_errback_passes_on_is_reported_once(unhandled: Unhandled) -> None:
    fail(ValueError("x")).add_errback(lambda f: f).add_errback(lambda f: f)
    assert len(unhandled) == 1
    unhandled.clear()


def test_a_failure_passed_to_an_outer_deferred_is_the_outer_ones_to_report(unhandled: Unhandled) -> None:
    inners: list[Deferred[int]] = [Deferred()]
    outer = succeed(0).add_callback(lambda _: inners[0])
    inners.pop().errback(ValueError("x"))
    assert unhandled == []
    del outer
    assert len(unhandled) == 1
    unhandled.clear()


def test_a_new_failure_after_one_that_was_taken_is_reported(unhandled: Unhandled) -> None:
    deferred = fail(ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        deferred.result()
    deferred.add_errback(lambda f: f)
    deferred.add_errback(boom)
    del deferred
    assert [str(failure) for failure, _ in unhandled] == ["ValueError: boom"]
    unhandled.clear()


def test_a_failure_on_a_paused_deferred_is_reported(unhandled: Unhandled) -> None:
    deferred: Deferred[int] = Deferred()
    deferred.pause()
    deferred.errback(ValueError("x"))
    del deferred
    assert len(unhandled) == 1
    unhandled.clear()


def test_a_cancellation_nobody_takes_is_not_reported() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.cancel()
    del deferred


def test_the_default_handler_logs_message_and_traceback(caplog: pytest.LogCaptureFixture) -> None:
    set_unhandled_handler(None)
    with caplog.at_level(logging.ERROR, logger="sshkit"):
        succeed(1).add_callback(boom)
    [record] = caplog.records
    assert record.name == "sshkit"
    assert record.getMessage() == "Unhandled failure in a Deferred: ValueError: boom"
    assert record.exc_info is not None
    assert traceback.extract_tb(record.exc_info[2])[-1].name == "boom"


def test_the_default_handler_says_nothing_once_the_interpreter_cannot_import(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "logging", None)
    failure_module.log_unhandled(Failure(ValueError()), "")


def test_debug_mode_tells_where_a_deferred_was_made_and_fired(
    monkeypatch: pytest.MonkeyPatch, unhandled: Unhandled, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Deferred, "debug", True)

    def make() -> Deferred[int]:
        return Deferred()

    def fire(deferred: Deferred[int]) -> None:
        deferred.errback(ValueError("x"))

    deferred = make()
    fire(deferred)
    with pytest.raises(AlreadyCalledError) as info:
        deferred.callback(1)
    text = str(info.value)
    assert "in test_debug_mode_tells_where_a_deferred_was_made_and_fired.<locals>.make" in text
    assert "<locals>.fire" in text
    del deferred, info
    [(failure, places)] = unhandled
    unhandled.clear()
    assert __file__ in places
    assert "<locals>.make\nIt was fired at:" in places
    failure_module.log_unhandled(failure, places)
    assert places in caplog.records[0].getMessage()


def test_debug_mode_reports_nothing_for_a_deferred_that_went_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deferred, "debug", True)
    deferred: Deferred[int] = Deferred()
    deferred.callback(1)
    assert deferred.add_callback(lambda v: v + 1).result() == 2
    with pytest.raises(AlreadyCalledError, match="made at"):
        deferred.callback(2)


def test_the_environment_switches_debug_mode_on() -> None:
    code = "from sshkit.deferred import Deferred; print(Deferred.debug)"
    for value, expected in (("1", "True"), ("", "False")):
        out = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"SSHKIT_DEBUG": value},
            capture_output=True,
            text=True,
            check=True,
        )
        assert out.stdout.strip() == expected


# No circles
#
# A frame in a traceback holds its callers' variables too, so the functions below keep no Deferred in one of
# theirs: what is tested is that ours do not.


class Canary:
    pass


def fire(deferreds: list[Deferred[Any]], well: bool = True) -> Deferred[Any]:
    """Fire the first and return the last, held by no frame meanwhile."""
    last = deferreds[-1:]
    if well:
        deferreds.pop(0).callback(1)
    else:
        deferreds.pop(0).errback(ValueError())
    deferreds.clear()
    return last.pop()


def raising_callback(canary: Canary) -> Deferred[Any]:
    def hold(_: int) -> None:
        held = canary
        raise ValueError(id(held))

    return fire([Deferred().add_callback(hold)])


def raising_coroutine(canary: Canary) -> Deferred[Any]:
    async def hold() -> None:
        held = canary
        raise ValueError(id(held))

    return ensure_deferred(hold())


def raising_decorated(canary: Canary) -> Deferred[Any]:
    @as_deferred
    async def hold() -> None:
        held = canary
        raise ValueError(id(held))

    return hold()


def raising_after_a_wait(canary: Canary) -> Deferred[Any]:
    async def hold(deferred: Deferred[int]) -> None:
        held = canary
        await deferred
        raise ValueError(id(held))

    def start(waited: Deferred[int]) -> list[Deferred[Any]]:
        return [waited, ensure_deferred(hold(waited))]

    return fire(start(Deferred()))


def awaiting_a_failure(canary: Canary) -> Deferred[Any]:
    async def hold() -> None:
        held = canary
        await fail(ValueError(id(held)))

    return ensure_deferred(hold())


def awaiting_what_fails_later(canary: Canary) -> Deferred[Any]:
    async def hold(waiting: list[Deferred[int]]) -> None:
        held = canary
        await waiting.pop()
        del held

    def start(waited: Deferred[int]) -> list[Deferred[Any]]:
        return [waited, ensure_deferred(hold([waited]))]

    return fire(start(Deferred()), well=False)


def raising_canceller(canary: Canary) -> Deferred[Any]:
    def hold(deferred: object) -> None:
        del deferred
        held = canary
        raise ValueError(id(held))

    deferreds: list[Deferred[int]] = [Deferred(hold)]
    deferreds[0].cancel()
    return deferreds.pop()


def raising_maybe(canary: Canary) -> Deferred[Any]:
    def hold() -> None:
        held = canary
        raise ValueError(id(held))

    return maybe_deferred(hold)


def reading_the_result(canary: Canary) -> Deferred[Any]:
    with pytest.raises(ValueError, match=str(id(canary))):
        raising_callback(canary).result()
    return raising_callback(canary)


@pytest.mark.parametrize(
    "make",
    [
        raising_callback,
        raising_coroutine,
        raising_decorated,
        raising_after_a_wait,
        awaiting_a_failure,
        awaiting_what_fails_later,
        raising_canceller,
        raising_maybe,
        reading_the_result,
    ],
)
@pytest.mark.usefixtures("without_gc")
def test_a_failed_deferred_that_is_dropped_goes_at_once_with_all_its_frames_hold(
    make: Callable[[Canary], Deferred[Any]], unhandled: Unhandled
) -> None:
    canary = Canary()
    gone = weakref.ref(canary)
    deferred = make(canary)
    del canary
    assert gone() is not None
    del deferred
    assert len(unhandled) == 1
    unhandled.clear()
    assert gone() is None


def test_cancelled_error_holds_no_deferred() -> None:
    deferred: Deferred[int] = Deferred()
    deferred.cancel()
    assert deferred.add_errback(lambda f: f.check(CancelledError)).result() is CancelledError
