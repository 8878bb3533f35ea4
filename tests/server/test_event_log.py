"""The server's log: levels, places, and nothing that a terminal would obey."""

import logging
import os
import re
import sys
import syslog

import pytest

from sshkit.server.event_log import EventLog, catch_library_logs, descriptor_sink, syslog_sink


def collect(level: int) -> tuple[EventLog, list[tuple[int, str]]]:
    lines: list[tuple[int, str]] = []
    return EventLog(level, lambda number, text: lines.append((number, text))), lines


def fault() -> BaseException:
    try:
        raise RuntimeError("a fault")
    except RuntimeError as error:
        return error


def test_only_events_of_the_level_are_logged() -> None:
    log, lines = collect(3)
    for level in ("fatal", "error", "info", "verbose", "debug"):
        log(level, level)
    assert lines == [(1, "fatal"), (2, "error"), (3, "info")]
    quiet, nothing = collect(0)
    quiet("fatal", "x")
    assert nothing == []


def test_r36_what_a_peer_wrote_is_escaped() -> None:
    log, lines = collect(3)
    log("info", "from a peer: \x1b[31m\n\u202e\x9b")
    assert lines == [(3, r"from a peer: \x1b[31m\n\u202e\x9b")]


def test_an_error_names_its_place_and_shows_its_traceback_in_a_debug_log_only() -> None:
    log, lines = collect(3)
    log("error", "broken", fault())
    assert len(lines) == 1
    assert re.fullmatch(r"broken \(test_event_log\.py:\d+\)", lines[0][1])
    debug, more = collect(5)
    debug("error", "broken", fault())
    assert more[1] == (5, "Traceback (most recent call last):")
    assert more[-1] == (5, "RuntimeError: a fault")
    debug("error", "never raised", RuntimeError("x"))
    assert (2, "never raised") in more


def test_lines_go_to_a_descriptor_with_the_time_where_wanted() -> None:
    read_end, write_end = os.pipe()
    descriptor_sink(write_end, stamped=False)(3, "plain")
    descriptor_sink(write_end, stamped=True)(3, "stamped")
    os.close(write_end)
    plain, stamped = os.read(read_end, 1000).decode().splitlines()
    os.close(read_end)
    assert plain == "plain"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} stamped", stamped)


def test_a_log_that_nobody_takes_does_no_harm() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    descriptor_sink(write_end, stamped=False)(3, "lost")
    os.close(write_end)


def test_the_systems_log_gets_priorities_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[object, ...]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *arguments: sent.append(arguments))
    monkeypatch.setattr(syslog, "syslog", lambda *arguments: sent.append(arguments))
    sink = syslog_sink("local3")
    for level in range(1, 7):
        sink(level, "text")
    assert sent[0] == ("sshkit-server", syslog.LOG_PID, syslog.LOG_LOCAL3)
    names = (syslog.LOG_CRIT, syslog.LOG_ERR, syslog.LOG_INFO, syslog.LOG_INFO)
    assert sent[1:] == [(name, "text") for name in (*names, syslog.LOG_DEBUG, syslog.LOG_DEBUG)]


def test_what_modules_log_comes_here_too() -> None:
    log, lines = collect(3)
    root = logging.getLogger("sshkit")
    before, propagates = list(root.handlers), root.propagate
    catch_library_logs(log)
    try:
        logging.getLogger("sshkit.reactor").warning("accepting pauses: %s", "no descriptors")
        try:
            raise RuntimeError("a fault")
        except RuntimeError:
            logging.getLogger("sshkit.reactor").error("callback failed", exc_info=sys.exc_info())
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
        root.propagate = propagates
    assert lines[0] == (3, "accepting pauses: no descriptors")
    assert lines[1][0] == 2
    assert lines[1][1].startswith("callback failed (test_event_log.py:")
