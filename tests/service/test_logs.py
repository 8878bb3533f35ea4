"""Logs: one line a record, whatever is in it, with the fields of its context."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.service import JSONFormatter, OptionError, TextFormatter, log_context
from sshkit.service.logs import open_log


def record(message: str = "hello %s", *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("shop", logging.INFO, __file__, 1, message, args or ("you",), None)
    made.__dict__.update(extra)
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JSONFormatter().format(made)
    assert "\n" not in line
    assert line.isascii()
    loaded: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
    return loaded


def test_a_record_is_one_json_object_with_its_fields() -> None:
    with log_context(request=5, user="a"), log_context(user="b\n"):
        found = as_json(record(order="x"))
    assert found.pop("time").endswith("+00:00")
    assert found.pop("process") > 0
    assert found == {
        "level": "INFO",
        "logger": "shop",
        "message": "hello you",
        "request": 5,
        "user": "b\n",
        "order": "x",
    }
    assert "user" not in as_json(record())


def test_an_exception_and_a_stack_are_fields() -> None:
    made = record(stack_info="Stack")
    try:
        raise ValueError("bad")
    except ValueError:
        made.exc_info = sys.exc_info()
    found = as_json(made)
    assert found["exception"].endswith("ValueError: bad")
    assert found["stack"] == "Stack"
    assert as_json(record(exc_text="of a queue"))["exception"] == "of a queue"
    assert TextFormatter().format(made).endswith("\nValueError: bad")


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError


def test_values_that_json_does_not_know_do_not_lose_the_record() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert as_json(record(path=Path("/x")))["path"] == "/x"
    found = as_json(record(cycle=cycle, number=float("nan"), object=Hostile()))
    assert found["cycle"] == "[[...]]"
    assert found["number"] == "nan"
    assert found["object"] == "<Hostile, whose repr raises RuntimeError>"


def test_a_context_may_not_hide_what_a_record_has_of_its_own() -> None:
    with pytest.raises(ValueError, match="message is a field of every record"), log_context(message="x"):
        pass


def test_r36_a_text_record_is_one_line_without_control_characters() -> None:
    with log_context(user="a\x1b[2J\n"):
        line = TextFormatter().format(record("%s", "first\nsecond\x1b"))
    assert line.endswith(r" INFO shop: first\nsecond\x1b user=a\x1b[2J\n")


def test_each_coroutine_has_a_context_of_its_own() -> None:
    found: list[str] = []

    async def work(name: str) -> None:
        with log_context(name=name):
            await sshkit.sleep(0.001)
            found.append(as_json(record())["name"])

    async def main() -> None:
        await sshkit.deferred.gather(*[work(name) for name in "ab"])

    sshkit.run(main())
    assert sorted(found) == ["a", "b"]


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=rf"^--log {tmp_path}: Is a directory$"):
        open_log(str(tmp_path), "text")
