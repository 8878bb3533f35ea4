"""Values as a person sees them: laid out, bounded, whatever their `__repr__` does."""

import datetime
import os
import sys
import types
from typing import Any

import pytest

from sshkit.manhole.access import commands_only
from sshkit.manhole.audit import Audit
from sshkit.manhole.display import Limits, coloured, guarded_str, named, render, show, static_repr
from sshkit.manhole.interpreter import Outcome
from sshkit.manhole.tracebacks import one_line, traceback_text
from tests.manhole.talk import Talk, answers, run


class Raises:
    def __repr__(self) -> str:
        raise ValueError("no\x1b[2J")


class RaisesTwice(Exception):
    def __str__(self) -> str:
        raise self

    __repr__ = __str__


class Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return Text("text's own")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        ((), "()"),
        (set(), "set()"),
        (frozenset(), "frozenset()"),
        ((1,), "(1,)"),
        ({3, 1, 2}, "{1, 2, 3}"),
        (frozenset({"b", "a"}), "frozenset({'a', 'b'})"),
        ({"a": [1, (2, 3)]}, "{'a': [1, (2, 3)]}"),
        (None, "None"),
        (b"ab", "b'ab'"),
        (Text("x"), "text's own"),
    ],
)
def test_a_value_is_shown_as_python_writes_it(value: Any, text: str) -> None:
    assert render(value, Limits()).text == text


def test_a_number_too_long_for_python_to_write_is_shown_by_its_size() -> None:
    assert render([1 << 20_000], Limits()) == ("[<int of 20001 bits>]", True)


def test_what_is_wider_than_the_terminal_is_broken_into_lines() -> None:
    assert (
        show({"a" * 10: [1] * 3, "b" * 10: 2}, Limits(), width=30)
        == "{'aaaaaaaaaa': [1, 1, 1],\n 'bbbbbbbbbb': 2}"
    )
    filled = show(list(range(100)), Limits(), width=40)
    assert max(map(len, filled.split("\n"))) <= 40
    assert filled.count("\n") < 15


def test_a_repr_that_raises_is_shown_as_such_with_its_text_escaped() -> None:
    assert "Raises whose repr raised ValueError: no\\x1b[2J>" in show([Raises()], Limits())
    assert "text cannot be had either" in show(RaisesTwice(), Limits())
    assert "cannot be had either" in guarded_str(RaisesTwice())
    assert guarded_str(Text("plain")) == "plain"


def test_a_value_is_cut_at_each_limit_and_says_how_to_see_more() -> None:
    self_holding: list[Any] = [1]
    self_holding.append(self_holding)
    assert show(self_holding, Limits()) == "[1, <list inside itself>]"
    nested: list[Any] = []
    for _ in range(100):
        nested = [nested]
    cases = [
        (list(range(1000)), Limits(items=3), "[0, 1, 2, ... 997 more]"),
        ({1: 1, 2: 2}, Limits(items=1), "{1: 1, ... 1 more}"),
        ("x" * 100, Limits(characters=10), "'xxxxxxxxx"),
        (Raises(), Limits(characters=10), "<"),
        (nested, Limits(depth=2), "[[[...]]]"),
        (["x" * 9] * 9, Limits(characters=30), "["),
        (dict.fromkeys(range(9), "x" * 9), Limits(characters=30), "{0: 'xxxxxxxxx'"),
        (["x" * 90] * 9, Limits(lines=2), "['x"),
    ]
    for value, limits, begins in cases:
        text = show(value, limits)
        assert text.startswith(begins), text
        assert text.endswith("\n[cut: %more shows more, print(_) all of it]")


def test_a_value_is_shown_whole_by_more_once_that_is_wide_enough() -> None:
    found = answers("list(range(200))", "%more", limits=Limits(items=5))
    assert "195 more" in found[0]
    assert "more]" in found[0]
    assert "39" in found[1]
    assert "160 more" in found[1]


def test_colours_change_nothing_but_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    text = show({"a": 1}, Limits(), colours=True)
    assert "\x1b[" in text
    assert coloured("[red]x[/red]").count("[red]") <= 1
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert show({"a": 1}, Limits(), colours=True) == "{'a': 1}"


def test_a_static_text_runs_no_code_of_the_class() -> None:
    class Zone(datetime.tzinfo):
        pass

    module = types.ModuleType("m")
    nameless = types.ModuleType("m")
    nameless.__dict__["__name__"] = 5
    moment = datetime.datetime(2026, 1, 1)
    assert static_repr(Raises()).startswith(f"<{__name__}.Raises at 0x")
    assert static_repr(Raises) == f"<class {__name__}.Raises>"
    assert static_repr(len) == "<function len>"
    assert static_repr(module) == "<module m>"
    assert static_repr(nameless) == "<module ?>"
    assert static_repr(range(3)) == "range(0, 3)"
    assert static_repr(moment) == repr(moment)
    assert "Zone" not in static_repr(moment.replace(tzinfo=Zone()))  # type: ignore[abstract]
    assert named(int) == "int"


def test_the_text_of_an_exception_is_one_line_whatever_it_says() -> None:
    assert one_line(ValueError("a\nb\x1b")) == "ValueError: a\\nb\\x1b"
    assert one_line(ValueError()) == "ValueError"
    assert one_line(RaisesTwice()) == "RaisesTwice: <its text cannot be had>"


def test_a_traceback_is_bounded_and_shows_locals_on_request() -> None:
    def fails(secret: int) -> None:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ExceptionGroup("g" * 1000, [error, ValueError("v")]) from error

    with pytest.raises(ExceptionGroup) as caught:
        fails(42)
    assert "secret = 42" in traceback_text(caught.value, Limits(), show_locals=True)
    assert traceback_text(caught.value, Limits(characters=300)).endswith("...\n[cut]\n")


def test_the_audit_log_has_who_when_what_and_how_it_ended() -> None:
    lines: list[str] = []
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    audit = Audit(lines.append, now=lambda: moment)

    async def test(talk: Talk) -> None:
        for source in ("1\n2\x1b[2J", "1/0", "exit(3)", "never"):
            await talk.say(source)
        await talk.session.evaluate("5")
        audit.ended("x", Outcome(True, True, None))
        audit.noted("x", "the session\nends")

    run(test, audit=audit, person="jane SHA256:abc\n")
    begins = "2026-01-02T03:04:05.000+00:00 "
    assert all(line.startswith(begins) and "\n" not in line for line in lines)
    assert [line.removeprefix(begins) for line in lines] == [
        "jane SHA256:abc\\n entered: 1\\n2\\x1b[2J",
        "jane SHA256:abc\\n ended: raised",
        "jane SHA256:abc\\n entered: 1/0",
        "jane SHA256:abc\\n ended: raised",
        "jane SHA256:abc\\n entered: exit(3)",
        "jane SHA256:abc\\n ended: exit 3",
        "jane SHA256:abc\\n entered: never",
        "jane SHA256:abc\\n ended: raised",
        "jane SHA256:abc\\n entered: 5",
        "jane SHA256:abc\\n ended: done",
        "x ended: interrupted",
        "x noted: the session\\nends",
    ]


def test_what_is_refused_is_in_the_audit_log_as_well() -> None:
    lines: list[str] = []
    answers("import os", audit=Audit(lines.append), access=commands_only("who"))
    assert "somebody entered: import os" in lines[0]
    assert lines[1].endswith("ended: raised")


def test_an_audit_file_is_appended_to_and_only_its_owners(tmp_path: Any) -> None:
    import logging

    path = tmp_path / "audit"
    Audit(path).entered("jane", "1")
    Audit(str(path)).entered("joe", "2")
    assert [line.split(" ", 1)[1] for line in path.read_text().splitlines()] == [
        "jane entered: 1",
        "joe entered: 2",
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OSError, match="directory"):
        Audit(tmp_path / "no" / "where")
    records: list[str] = []
    logger = logging.getLogger("audit.test")
    logger.setLevel("INFO")
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    Audit(logger).entered("jane", "%s")
    assert records[0].endswith("jane entered: %s")
    with pytest.raises(TypeError):
        Audit(5)  # type: ignore[arg-type]
    assert os.path.exists(path)
