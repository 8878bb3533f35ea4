"""What keys may do that look and do not touch: much, and nothing that runs the program's code."""

import datetime
import types
from typing import Any

import pytest

from sshkit.manhole.access import EXPRESSIONS, FULL, Access, NotAllowed, commands_only
from sshkit.manhole.expressions import MOST_SECONDS, Expression, evaluate_expression


class Trap:
    """Every way of touching it is noted."""

    touched: list[str] = []  # noqa: RUF012
    plain = 7
    __slots__ = ("__dict__", "kept")

    def __init__(self) -> None:
        self.kept = "slot"
        self.__dict__["own"] = "own"

    @property
    def computed(self) -> None:
        Trap.touched.append("property")

    def method(self) -> None:
        Trap.touched.append("method")


def _note(name: str) -> Any:
    def special(self: Any, *args: Any) -> Any:
        Trap.touched.append(name)
        return NotImplemented

    return special


for _name in [
    "getattr",
    "eq",
    "ne",
    "lt",
    "gt",
    "le",
    "ge",
    "hash",
    "len",
    "iter",
    "next",
    "getitem",
    "contains",
    "add",
    "radd",
    "mul",
    "rmul",
    "mod",
    "rmod",
    "pow",
    "bool",
    "call",
    "repr",
    "str",
    "format",
    "index",
    "int",
    "float",
    "abs",
    "neg",
    "dir",
    "enter",
    "reversed",
    "round",
]:
    if _name not in ("hash",):
        setattr(Trap, f"__{_name}__", _note(_name))


class Meta(type):
    """A metaclass that notes being asked."""

    def __instancecheck__(cls, instance: object) -> bool:
        Trap.touched.append("instancecheck")
        return True

    def __getattr__(cls, name: str) -> Any:
        Trap.touched.append("meta")
        raise AttributeError(name)


class Strange(metaclass=Meta):
    known = 1


class Keyed:
    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        Trap.touched.append("key")
        return False


class Zone(datetime.tzinfo):
    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
        Trap.touched.append("zone")
        return datetime.timedelta(0)

    def __repr__(self) -> str:
        Trap.touched.append("zone repr")
        return "Zone"


def generator() -> Any:
    yield 1


def namespace() -> dict[str, Any]:
    Trap.touched.clear()
    self_holding: list[Any] = []
    self_holding.append(self_holding)
    return {
        "trap": Trap(),
        "Trap": Trap,
        "Strange": Strange,
        "keyed": {Keyed(): 1},
        "zoned": datetime.datetime(2026, 1, 1, tzinfo=Zone()),  # type: ignore[abstract]
        "now": datetime.datetime(2026, 5, 6, 7, 8, tzinfo=datetime.UTC),
        "running": generator(),
        "d": {"a": [1, 2, 3], "b": {"c": (4, 5)}},
        "text": "some text",
        "error": ValueError("bad"),
        "module": types.ModuleType("module", "about it"),
        "itself": self_holding,
        "function": namespace,
        "print": print,
        "big": list(range(100_001)),
        "__builtins__": __builtins__,
    }


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 2 * 3 ** 2 - 7 // 2 % 5", 1 + 2 * 3**2 - 7 // 2 % 5),
        ("-3, +3, ~3, not 3", (-3, 3, ~3, False)),
        ("[1 << 3, 9 >> 1, 6 & 3, 6 | 3, 6 ^ 3, 1 / 2]", [8, 4, 2, 7, 5, 0.5]),
        ("2 ** -1, (-1) ** 10 ** 12, 2 ** 0.5", (0.5, 1, 2**0.5)),
        ("{1, 2} | {3}, {1, 2} - {1}", ({1, 2, 3}, {2})),
        ("'a' + 'b', [1] + [2], 2 * 'ab', [0] * 3", ("ab", [1, 2], "abab", [0, 0, 0])),
        ("trap.plain, trap.kept, trap.own", (7, "slot", "own")),
        ("Trap.plain, Strange.known, Trap.__name__, function.__name__", (7, 1, "Trap", "namespace")),
        ("trap.__doc__, module.__doc__", ("Every way of touching it is noted.", "about it")),
        ("d['a'][0], d['a'][1:], d['b']['c'][-1], text[::-1]", (1, [2, 3], 5, "txet emos")),
        ("1 < 2 < 3, 1 < 2 > 3, 1 == 1.0, 'a' in 'abc', 4 not in d['a']", (True, False, True, True, True)),
        ("trap is None, trap is not None, 1 != 2, 2 >= 1 <= 3", (False, True, True, True)),
        ("[x * y for x in d['a'] if x > 1 for y in (1, 10)]", [2, 20, 3, 30]),
        ("{k: len(v) for k, v in d.items()}, {x % 2 for x in d['a']}", ({"a": 3, "b": 1}, {0, 1})),
        ("f'{text} {1 + 1!r} {text!r}'", "some text 2 'some text'"),
        ("0 or 'x', 1 and 0, [] or None, 'y' if d else 'n'", ("x", 0, None, "y")),
        ("len(d), type(1), isinstance(1, int), isinstance(error, (str, Exception))", (2, int, True, True)),
        ("isinstance(1, Strange), type(trap) is Trap", (False, True)),
        ("sorted([3, 1], reverse=True), min(1, 2), max([1, 5]), sum([1, 2], 3)", ([3, 1], 1, 5, 6)),
        ("getattr(trap, 'kept'), getattr(trap, 'x', 3), hasattr(trap, 'own')", ("slot", 3, True)),
        ("vars(trap), 'known' in vars(Strange), 'plain' in dir(trap)", ({"own": "own"}, True, True)),
        ("int('12'), float('1.5'), str(12), str('a'), str(), bool([]), abs(-1)", (12, 1.5, "12", "a", "", False, 1)),  # noqa: E501
        ("list('ab'), tuple([1]), set([1, 1]), dict([('a', 1)]), dict(d) == d, list(), set(), tuple(), dict()",  # noqa: E501
         (["a", "b"], (1,), {1}, {"a": 1}, True, [], set(), (), {})),
        ("enumerate('a'), zip('a', 'b'), reversed([1, 2])", ([(0, "a")], [("a", "b")], [2, 1])),
        ("all([1, 0]), any([0, 1]), chr(97), ord('a'), hex(255), round(1.25, 1), round(2.5)",
         (False, True, "a", 97, "0xff", 1.2, 2)),
        ("callable(len), callable(1), repr('a'), range(3)[1], id(None) > 0", (True, False, "'a'", 1, True)),
        ("text.upper(), text.split(), ','.join(['a', 'b']), text.replace('e', 'E'), 'é'.encode('utf-8')",
         ("SOME TEXT", ["some", "text"], "a,b", "somE tExt", "é".encode())),
        ("d.get('a'), d.get('z', 0), d.keys(), d['a'].index(2), d['a'].copy()", ([1, 2, 3], 0, ["a", "b"], 1, [1, 2, 3])),  # noqa: E501
        ("now.year, now.isoformat()", (2026, "2026-05-06T07:08:00+00:00")),
        ("(5).bit_length(), {1}.union({2}), (1).real", (3, {1, 2}, 1)),
    ],
)  # fmt: skip
def test_a_reading_key_gets_the_value_of_an_expression_that_only_reads(source: str, value: Any) -> None:
    assert evaluate_expression(source, namespace()) == value
    assert Trap.touched == []


@pytest.mark.parametrize(
    "source",
    """
().__class__.__base__.__subclasses__()
().__class__
trap.__dict__
trap.__init__
Trap.__mro__
function.__globals__
function.__code__
print.__self__
error.__traceback__
running.gi_frame
running.gi_code
__builtins__
"{0.__class__}".format(1)
"{0.__class__}".format_map(d)
"%s" % trap
"%999999999d" % 1
f"{1:>1000000000}"
f"{trap.computed}"
lambda: 1
(lambda: 1)()
(y := 1)
(x for x in d)
[x async for x in d]
[*d]
{**d}
max(*[1, 2])
sorted(d, **d)
await d
trap.computed
trap.method()
trap()
Trap()
Strange()
print(1)
eval("1")
exec("1")
open("/etc/passwd")
__import__("os")
compile("1", "", "eval")
getattr(trap, "__class__")
getattr(trap, "computed")
getattr(print, "__self__")
setattr(trap, "x", 1)
delattr(trap, "x")
type("A", (), {})
globals()
input()
help(trap)
trap == 1
trap != trap
1 < trap
trap in [1]
1 in trap
[trap] == [trap]
sorted([trap, trap])
max([trap, trap])
sum([trap])
len(trap)
bool(trap)
not trap
trap and 1
1 if trap else 2
[x for x in trap]
list(trap)
all([trap])
abs(trap)
-trap
trap + 1
1 + trap
trap[0]
trap[0:1]
[1][trap]
[1][trap:]
int(trap)
round(trap)
round(5, -1000000000)
{trap}
{trap: 1}
{x for x in [trap]}
{x: 1 for x in [trap]}
set([trap])
dict([(trap, 1)])
d[trap]
d.get(trap)
keyed["a"]
keyed.get("a")
"a" in keyed
d["a"].append(1)
d.pop("a")
d.update(d)
d["a"].sort()
"a".join(trap)
"x".encode("idna")
"x".encode("zlib")
"a".center(1000000000)
"a".zfill(1000000000)
sorted([1], key=len)
9 ** 9 ** 9
2 ** 100000
10 ** 10 ** 10 ** 10
1 << 10 ** 9
1 << 10 ** 20
"x" * 10 ** 9
[0] * 10 ** 9
("x" * 99999).replace("x", "y" * 99999)
("x" * 1000).join(["a"] * 1000)
[1 for x in range(10 ** 9)]
list(range(10 ** 9))
[1 for a in range(1000) for b in range(1000)]
big and [x for x in big]
d @ d
d + d
zoned == now
str(zoned) == zoned.isoformat()
itself == itself
isinstance(1, 1)
x = 1
import os
del d
def f(): pass
for x in d: pass
d["a"] = 1
1; 2
[a for a.b in [1]]
[1 for (a, b) in [{1, 2}]]
len()
len(1, 2)
d[1:2]
[1]["a"]
""".strip().split("\n"),
)
def test_a_reading_key_is_refused_by_name_before_anything_runs(source: str) -> None:
    with pytest.raises(NotAllowed):
        evaluate_expression(source, namespace())
    assert Trap.touched == []


def test_a_name_that_hides_a_builtin_is_not_called() -> None:
    with pytest.raises(NotAllowed, match="calling len"):
        evaluate_expression("len([1])", {"len": lambda value: Trap.touched.append("len")})


@pytest.mark.parametrize("source", ["nothing", "trap.nothing", "d['z']", "1 / 0", "1 +", "[1][5]", "int('x')",
                                    "getattr(trap, 1)", "getattr(trap, 'nothing')", "module.nothing"])  # fmt: skip  # noqa: E501
def test_an_error_of_the_person_is_the_error_that_python_has(source: str) -> None:
    with pytest.raises(
        (
            NameError,
            AttributeError,
            KeyError,
            ArithmeticError,
            SyntaxError,
            LookupError,
            ValueError,
            TypeError,
        )
    ):
        evaluate_expression(source, namespace())
    assert Trap.touched == []


def test_text_of_the_programs_objects_is_made_without_asking_them() -> None:
    found = evaluate_expression(
        "[str(trap), repr(trap), f'{trap}', str(zoned), str([trap]), str(Strange)]", namespace()
    )
    assert Trap.touched == []
    assert all("Trap" in text for text in found[:3])


@pytest.mark.parametrize(
    "source", ["-" * 2000 + "1", "(" * 500 + ")" * 500, "1+" * 6000 + "1", "[" * 80 + "]" * 80]
)
def test_a_deep_or_long_expression_is_refused_and_not_a_crash(source: str) -> None:
    with pytest.raises((NotAllowed, SyntaxError)):
        evaluate_expression(source, {})


def test_an_expression_that_takes_too_long_ends() -> None:
    import ast

    ticks = iter([0.0, 1.0, MOST_SECONDS + 1])
    with pytest.raises(NotAllowed, match="takes more than"):
        Expression({}, lambda: next(ticks)).run(ast.parse("1 + 1", mode="eval").body)


def test_an_access_cannot_be_changed_or_made_of_an_unknown_kind() -> None:
    access = commands_only("%who", "tasks")
    with pytest.raises(AttributeError):
        access.kind = "full"
    with pytest.raises(AttributeError):
        del access.kind
    with pytest.raises(ValueError, match="one of full"):
        Access("all")
    assert access == commands_only("tasks", "who")
    assert access != FULL
    assert hash(access) == hash(commands_only("tasks", "who"))
    assert [one.allowed() for one in (FULL, access, commands_only())] == [
        "everything", "the commands %tasks, %who", "nothing"
    ]  # fmt: skip
    assert "expressions" in EXPRESSIONS.allowed()
    assert repr(access) == "<Access commands: tasks, who>"
