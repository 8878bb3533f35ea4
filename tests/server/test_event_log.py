"""The server's log: levels, places, and nothing that a terminal would obey."""

import json
import logging
import os
import re
import sys
import syslog
from typing import Any, NoReturn

import pytest

from sshkit.server.event_log import EventLog, catch_library_logs, descriptor_sink, syslog_sink


def collect(level: int) -> tuple[EventLog, list[tuple[int, str]]]:
    lines: list[tuple[int, str]] = []
    return EventLog(level, lambda number, text: lines.append((number, text))), lines


def broken() -> NoReturn:
    raise RuntimeError("a fault")


def fault() -> BaseException:
    try:
        broken()
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


def as_json(level: int = 3, **options: Any) -> tuple[EventLog, list[dict[str, Any]]]:
    records: list[dict[str, Any]] = []

    def sink(number: int, line: str) -> None:
        assert "\n" not in line
        assert line.isascii()
        records.append({"number": number, **json.loads(line)})

    return EventLog(level, sink, as_json=True, now=lambda: 1767225599.0625, **options), records


def test_an_event_as_json_has_the_time_the_level_the_text_and_its_facts() -> None:
    log, records = as_json()
    facts = {"source": "192.0.2.7", "port": 4711, "user": "joe", "first": True, "took": 0.5, "key": None}
    log("info", "joe logged in", fields={**facts, "refused_by": "/etc/ssh/sshd_config:12"})
    log("verbose", "not at this level", fields=facts)
    log("error", "an old call", None)
    del facts["key"]  # a fact that is not known is left out
    assert records == [
        {
            "number": 3,
            "time": "2025-12-31T23:59:59.062Z",
            "level": "info",
            "event": "joe logged in",
            **facts,
            "refused_by": "/etc/ssh/sshd_config:12",
        },
        {"number": 2, "time": "2025-12-31T23:59:59.062Z", "level": "error", "event": "an old call"},
    ]


def test_r36_facts_are_escaped_in_json_too() -> None:
    log, records = as_json()
    nasty = '\x1b[31m"\n\u202e\x9b\ud800'
    log("info", nasty, fields={"user": nasty, "raw": b"\xff\x00", "object": OSError(nasty)})
    escaped = r'\x1b[31m"\n\u202e\x9b\ud800'
    assert records[0]["event"] == records[0]["user"] == records[0]["object"] == escaped
    assert records[0]["raw"] == r"\xff\x00"


def test_r18_a_line_of_json_has_bounded_facts() -> None:
    log, records = as_json()
    log("info", "x" * 100_000, fields={f"n{number}": "y" * 10_000 for number in range(100)})
    assert len(records[0]) == 4 + 32
    assert len(records[0]["event"]) == 8192 + 3
    assert len(records[0]["n0"]) == 1024 + 3


def test_r43_secrets_are_not_logged_even_where_somebody_hands_them_over() -> None:
    log, records = as_json()
    log("info", "x", fields={"password": "hunter2", "passphrase": "hunter2", "secret": b"hunter2"})
    assert "hunter2" not in json.dumps(records)
    assert records[0]["password"] == "(not shown)"


def test_facts_do_not_replace_what_every_event_has() -> None:
    log, records = as_json()
    log("info", "true", fields={"event": "false", "level": "fatal", "time": "never"})
    assert (records[0]["event"], records[0]["level"]) == ("true", "info")


def test_an_error_as_json_names_its_place_and_its_traceback_in_a_debug_log_only() -> None:
    log, records = as_json()
    log("error", "broken", fault())
    assert records[0]["error"] == "RuntimeError: a fault"
    assert re.fullmatch(r"test_event_log\.py:\d+", records[0]["place"])
    assert "traceback" not in records[0]
    debug, more = as_json(5)
    debug("error", "broken", fault())
    assert more[0]["traceback"][0] == "Traceback (most recent call last):"
    debug("error", "never raised", RuntimeError("x"))
    assert "place" not in more[1]


def test_the_time_of_json_is_that_of_the_world() -> None:
    lines: list[str] = []
    EventLog(3, lambda number, line: lines.append(line), as_json=True)("info", "x")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", json.loads(lines[0])["time"])


def test_facts_leave_the_text_form_as_it_is() -> None:
    log, lines = collect(3)
    log("info", "text", fields={"user": "joe"})
    assert lines == [(3, "text")]


def test_log_verbose_shows_events_of_the_places_that_it_names() -> None:
    lines: list[str] = []
    wanted = ("test_event_log.py:speak():*", "other.py:*")
    log = EventLog(3, lambda number, line: lines.append(line), verbose=wanted)

    def speak() -> None:
        log("debug3", "wanted")

    def whisper() -> None:
        log("debug", "not wanted")

    class Server:
        """Passes events on, as the server does."""

        def log(self, text: str) -> None:
            log("debug2", text)

    def through() -> None:
        Server().log("not wanted either")

    speak()
    whisper()
    through()
    assert lines == ["wanted"]
    log.sink(0, "")
    exact = EventLog(0, lambda number, line: lines.append(line), verbose=("*:through*",))
    log = exact
    through()
    assert lines[-1] == "not wanted either"


def test_an_event_that_comes_from_nowhere_is_not_wanted() -> None:
    log, _ = collect(3)
    assert not log._is_wanted(None)
