"""What an editor is offered, and that nothing of the program runs for it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sshkit.manhole import completion_places, peeking, static
from sshkit.manhole.completion import complete, documentation, signature
from tests.manhole.test_expressions import Meta, Strange, Trap


class Plain:
    """A plain class.

    With more to say.
    """

    known = 1
    _private = 2
    __slots__ = ("__dict__", "placed")

    def __init__(self, size: int = 3, *rest: "str", name: object = None, **more: Any) -> None:
        self.own = size

    def method(self, one: int, two: int = 2) -> None:
        """Do one thing."""

    @classmethod
    def made(cls, way: str) -> "Plain":
        return cls()

    @staticmethod
    def alone(only: int) -> None:
        """Stand alone."""

    def __call__(self, called: int) -> None:
        """Called."""

    @property
    def computed(self) -> int:
        raise AssertionError("a property was run")


class Caller(type):
    def __getattr__(cls, name: str) -> Any:
        raise AssertionError("a metaclass was asked")


class Made(metaclass=Caller):
    pass


def names() -> dict[str, Any]:
    Trap.touched.clear()
    return {
        "plain": Plain(),
        "Plain": Plain,
        "Made": Made,
        "trap": Trap(),
        "Strange": Strange,
        "Meta": Meta,
        "d": {"ab": 1, "ac": {"deep": 2}, "it's": 3, 'say "x"': 4, 5: 6, ("t",): 7, b"by": 8},
        "value": 1,
        "_hidden": 1,
        "os": os,
        "sys": sys,
        "text": "t",
    }


def offered(source: str, **options: Any) -> list[str]:
    found = [candidate.text for candidate in complete(source, len(source), names(), **options)]
    assert options or Trap.touched == []
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("val", ["value"]),
        ("_hid", ["_hidden"]),
        ("impo", ["import"]),
        ("isinst", ["isinstance"]),
        ("x = plain.ow", ["own"]),
        ("plain.kno", ["known"]),
        ("plain._pri", ["_private"]),
        ("plain.__call", ["__call__"]),
        ("plain.comp", ["computed"]),
        ("plain.method.__na", ["__name__"]),
        ("Plain.mad", ["made"]),
        ("Strange.kno", ["known"]),
        ("trap.kep", ["kept"]),
        ("text.upp", ["upper"]),
        ("'x'.upp", ["upper"]),
        ("[1].appen", ["append"]),
        ("d['ac'].ke", ["keys"]),
        ("plain.__class__.kno", ["known"]),
        ("os.path.joi", ["join"]),
        ("print(plain.ow", ["own"]),
        ("d['a", ["ab']", "ac']"]),
        ('d["ab', ['ab"]']),
        ("d['ac']['de", ["deep']"]),
        ('d["it', ["it's\"]"]),
        ("d['it", ["it\\'s']"]),
        ('d["say', ['say \\"x\\""]']),
        ("plain.method(tw", ["two="]),
        ("Plain(nam", ["name="]),
        ("Plain.alone(onl", ["only="]),
        ("Plain.made(wa", ["way="]),
        ("plain(call", ["called=", "callable"]),
        ("import tabn", ["tabnanny"]),
        ("import os, tabn", ["tabnanny"]),
        ("import concurrent.fut", ["futures"]),
        ("import os.nothing", []),
        ("from tabn", ["tabnanny"]),
        ("from json imp", ["import"]),
        ("from json import JSONDec", ["JSONDecodeError", "JSONDecoder"]),
        ("from json import dumps, loa", ["load", "loads"]),
        ("from xmlrpc import cli", ["client"]),
        ("from xmlrpc.client.nothing import x", []),
        ("# plain.ow", []),
        ("'some text", []),
        ("'''plain.", []),
        ("5.re", []),
        ("5a", []),
        ("undefined.x", []),
        ("(].x", []),
        ("f(x).y", []),
        ("'", []),
        ("plain.computed.rea", []),
        ("%thre", ["threads"]),
        ("%log DE", ["DEBUG"]),
        ("%help tim", ["time"]),
        ("%time plain.ow", ["own"]),
        ("%source Plain.mad", ["made"]),
        ("%threads x", []),
        ("%nothing x", []),
        ("x = 'done'; val", ["value"]),
        ("'broken\nval", ["value"]),
        ("f(1, (2, 3), [4]).x", []),
        ("{'a': val", ["value"]),
        ("'it\\'s' + val", ["value"]),
    ],
)
def test_completion_offers_what_may_follow(source: str, expected: list[str]) -> None:
    assert offered(source) == expected


def test_keys_that_are_no_text_are_offered_as_they_are_written() -> None:
    assert offered("d[")[:6] == ["'ab']", "'ac']", '"it\'s"]', "'say \"x\"']", "5]", "b'by']"]
    assert "b'by']" not in offered("d['")


def test_private_names_come_only_when_they_are_asked_for() -> None:
    assert "_hidden" not in offered("")
    assert "value" in offered("")
    assert "_private" not in offered("plain.")
    assert not [name for name in offered("plain._") if name.startswith("__")]


def test_paths_in_strings_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "fi\x1b").write_text("")
    assert offered(f"open('{tmp_path}/f") == [f"{tmp_path}/file", f"{tmp_path}/folder/"]
    assert offered(f"open('{tmp_path}/.h") == [f"{tmp_path}/.hidden"]
    assert offered("open('/no/such/folder/f") == []
    monkeypatch.setenv("HOME", str(tmp_path))
    assert offered("open('~/fil") == ["~/file"]


def test_completion_says_where_the_text_goes_and_what_it_is() -> None:
    found = complete("x = plain.me", 12, names())
    assert found == [("method", 10, "method", "function", "")]
    kinds = {candidate.text: candidate.kind for candidate in complete("", 0, names())}
    assert (kinds["os"], kinds["Plain"], kinds["value"], kinds["len"]) == (
        "module",
        "class",
        "name",
        "function",
    )
    assert complete("plain.ow + 5", 8, names())[0].text == "own"


def test_with_evaluation_code_of_the_program_may_run_and_its_errors_stay_inside() -> None:
    assert offered("Plain(7).ow", evaluate=True) == ["own"]
    assert offered("(1/0).rea", evaluate=True) == []

    class Listed:
        def __dir__(self) -> list[str]:
            return ["made_up"]

    assert [one.text for one in complete("x.ma", 4, {"x": Listed()}, evaluate=True)] == ["made_up"]


def test_an_error_inside_completion_is_no_candidate_and_no_error() -> None:
    assert complete("x.y", 3, None) == []  # type: ignore[arg-type]


def test_the_number_of_candidates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.completion.MOST", 3)
    assert len(offered("")) == 3


@pytest.mark.parametrize(
    ("source", "parameters", "index"),
    [
        ("plain.method(", ("one: int", "two: int = 2"), 0),
        ("plain.method(1, ", ("one: int", "two: int = 2"), 1),
        ("plain.method(two=", ("one: int", "two: int = 2"), 1),
        ("plain.method(1, 2, ", ("one: int", "two: int = 2"), None),
        (
            "Plain(1, (2, 3), 4",
            ("size: int = 3", "*rest: str", "name: object = None", "**more: typing.Any"),
            1,
        ),
        ("plain(", ("called: int",), 0),
        ("Plain.method(", ("self", "one: int", "two: int = 2"), 0),
        ("len(", ("obj",), 0),
    ],
)
def test_the_signature_says_which_parameter_the_cursor_is_at(
    source: str, parameters: tuple[str, ...], index: int | None
) -> None:
    found = signature(source, len(source), names())
    assert found is not None
    assert (found.parameters, found.index) == (parameters, index)
    assert Trap.touched == []


@pytest.mark.parametrize(
    "source", ["", "[1", "undefined(", "1 + (", "if (", "def f(", "value(", "Made(", "print"]
)
def test_where_there_is_no_signature_none_is_made_up(source: str) -> None:
    assert signature(source, len(source), names()) is None
    assert Trap.touched == []


def test_documentation_is_found_without_running_code() -> None:
    assert (
        documentation("plain.method", names())
        == "plain.method(one: int, two: int = 2): function\n\nDo one thing."
    )
    assert documentation("Plain", names()).endswith(": class\n\nA plain class.\n\nWith more to say.")
    assert documentation("plain", names()).startswith(
        "plain: tests.manhole.test_completion.Plain\n\nA plain class."
    )
    assert "Join two or more" in documentation("os.path.join", names())
    assert documentation("os", names()).startswith("os: module")
    assert documentation("value", names()).startswith("value: int")
    assert documentation("undefined", names()) == ""
    assert documentation("Made", names()).startswith("Made: class")
    assert "dict" in documentation("dict", names())
    assert documentation("trap", names()).endswith("Every way of touching it is noted.")
    assert Trap.touched == []


def test_a_source_full_of_strings_and_brackets_is_read_right() -> None:
    here = peeking.place("f(a, 'x(', g[1], # c (\n {b: 'q")
    assert [bracket.kind for bracket in here.brackets] == ["(", "{"]
    assert here.brackets[0].commas == 3
    assert here.quote == "'"
    assert peeking.place("a # b").comment
    assert not peeking.place("a ) b").brackets
    assert peeking.expression_before("x + a.b[c('(')].d", 17) == "a.b[c('(')].d"
    assert peeking.expression_before("a)", 2) == ""
    assert peeking.expression_before("'", 1) == ""
    assert peeking.peek("x" * 60_000, {}) is peeking.NOTHING


def test_names_are_looked_up_statically_in_instances_classes_and_modules() -> None:
    class Fake:
        @property
        def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
            raise AssertionError("was run")

    assert static.own_dict(Fake()) == {}
    assert static.own_dict(5) == {}
    found = static.attribute(Plain, "known")
    assert found is not None
    assert found.value == 1
    assert static.attribute(Plain, "mro") is not None
    assert "known" in set(static.names(Plain))
    assert not static.is_slot(static.Attribute(1, None))


def test_modules_are_found_without_importing_them() -> None:
    assert "wsgiref" in completion_places.top_level_modules()
    completion_places.modules_in("xmlrpc")
    assert completion_places.modules_in("json.nothing") == []
    assert completion_places.modules_in("math") == []
