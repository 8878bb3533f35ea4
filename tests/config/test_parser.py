"""Lines of configuration files."""

from pathlib import Path

import pytest

from sshkit.config.parser import (
    COMMAND_LINE,
    MAX_FILE_BYTES,
    ConfigError,
    Line,
    Place,
    Setting,
    parse_line,
    parse_lines,
    read_lines,
    split_arguments,
)

HERE = Place("f", 3)


def line(text: str) -> Line:
    parsed = parse_line(text, HERE)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "keyword", "rest"),
    [
        ("Port 22", "port", "22"),
        ("  Port\t22  ", "port", "22"),
        ("Port=22", "port", "22"),
        ("Port = 22", "port", "22"),
        ("PORT =22\r", "port", "22"),
        ('"Port" 22', "port", "22"),
        ("Port", "port", ""),
        ("RemoteCommand a = b # c", "remotecommand", "a = b # c"),
    ],
)
def test_a_line_is_a_keyword_in_any_case_and_a_rest(text: str, keyword: str, rest: str) -> None:
    parsed = line(text)
    assert (parsed.keyword, parsed.rest, parsed.place) == (keyword, rest, HERE)
    assert repr(parsed).startswith("<Line f:3 ")


@pytest.mark.parametrize("text", ["", "   ", "# comment", "\t# comment"])
def test_empty_lines_and_comments_say_nothing(text: str) -> None:
    assert parse_line(text, HERE) is None


@pytest.mark.parametrize(("text", "cause"), [("a \0 b", "NUL"), ('"Port 22', "quote"), ("=22", "no keyword")])
def test_a_damaged_line_is_an_error_that_names_its_place(text: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=f"f:3: .*{cause}") as caught:
        parse_line(text, HERE)
    assert caught.value.place == HERE
    assert cause in caught.value.cause


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc", ["a", "b", "c"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b' c", ['a "b', "c"]),
        ('a"b c"d', ["ab cd"]),
        (r"a\ b \"c\" \\d \e", ["a b", '"c"', "\\d", "\\e"]),
        (r'"a\ b"', ["a\\ b"]),
        ("a # b", ["a"]),
        ("a#b", ["a#b"]),
        ('""', [""]),
        ("", []),
        ("a\\", ["a\\"]),
    ],
)
def test_quotes_escapes_and_comments_are_those_of_openssh(text: str, words: list[str]) -> None:
    assert split_arguments(text, HERE) == words


def test_a_quote_that_is_not_closed_is_an_error() -> None:
    with pytest.raises(ConfigError, match="f:3: a quote that is not closed"):
        split_arguments('a "b', HERE)


def test_a_keyword_with_one_argument_takes_neither_none_nor_two() -> None:
    assert line("Port 22").one() == "22"
    for text, cause in (("Port", "missing"), ('Port ""', "missing"), ("Port 1 2", "more than one")):
        with pytest.raises(ConfigError, match=f"f:3: {cause} argument for Port"):
            line(text).one()
    with pytest.raises(ConfigError, match="missing argument for SendEnv"):
        line("SendEnv").some()


def test_every_line_of_a_file_knows_its_number(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"# first\n\nPort 22\r\nUser \xff\n")
    lines = read_lines(str(path))
    assert [str(found.place) for found in lines] == [f"{path}:3", f"{path}:4"]
    assert lines[1].rest.encode("utf-8", "surrogateescape") == b"\xff"
    assert [found.place.line for found in parse_lines(["", "A 1", "B 2"], "x")] == [2, 3]


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_lines(str(path))


def test_control_characters_of_a_place_are_escaped() -> None:
    assert str(Place("a\x1bb", 2)) == "a\\x1bb:2"
    assert str(COMMAND_LINE) == "command line"
    assert str(ConfigError("cause")) == "cause"


def test_a_setting_knows_whether_somebody_set_it() -> None:
    assert Setting(1).is_default
    assert not Setting(1, HERE).is_default
    assert repr(Setting(1, HERE)) == "<Setting 1 of f:3>"
