"""The command line of sshkit-client."""

import pytest
from sshkit_cli.options import CommandLine, UsageError, parse


def settings(*argv: str) -> list[str]:
    return [f"{keyword} {value}".strip() for keyword, value in parse([*argv, "h"]).settings]


@pytest.mark.parametrize(
    ("argv", "destination", "command"),
    [
        (["h"], "h", None),
        (["h", "ls", "-l", "/"], "h", "ls -l /"),
        (["h", "-p", "22", "ls", "-p", "1"], "h", "ls -p 1"),
        (["-p22", "h", "-v", "echo", "a  b"], "h", "echo a  b"),
        (["h", "--", "-x"], "h", "-x"),
        (["--", "h", "-q"], "h", None),
        (["h", "-"], "h", "-"),
        (["ssh://u@h:2222", "id"], "ssh://u@h:2222", "id"),
    ],
)
def test_options_stand_on_both_sides_of_the_host_and_end_at_the_command(
    argv: list[str], destination: str, command: str | None
) -> None:
    typed = parse(argv)
    assert (typed.destination, typed.command) == (destination, command)


def test_flags_are_configuration_lines_in_order() -> None:
    assert settings("-4", "-6", "-b", "::1", "-C", "-c", "x", "-e", "none", "-l", "u", "-m", "y") == [
        "AddressFamily inet",
        "AddressFamily inet6",
        'BindAddress "::1"',
        "Compression yes",
        'Ciphers "x"',
        'EscapeChar "none"',
        'User "u"',
        'MACs "y"',
    ]
    assert settings("-Nns", "-p", "1", "-i", 'a "\\b', "-oPort=3") == [
        "SessionType none",
        "StdinNull yes",
        "SessionType subsystem",
        'Port "1"',
        'IdentityFile "a \\"\\\\b"',
        "Port=3",
    ]


def test_how_much_is_said_comes_before_what_o_says() -> None:
    assert settings("-o", "LogLevel=ERROR", "-v")[0] == "LogLevel DEBUG1"
    assert settings("-vvvv")[0] == "LogLevel DEBUG3"
    assert settings("-vq")[0] == "LogLevel QUIET"
    assert parse(["-vv", "h"]).verbosity == 2


def test_one_t_asks_for_a_terminal_and_two_insist() -> None:
    assert settings("-t") == ["RequestTTY yes"]
    assert settings("-tt") == settings("-t", "-t") == ["RequestTTY force"]
    assert settings("-T") == ["RequestTTY no"]


def test_what_is_off_already_may_be_switched_off() -> None:
    assert settings("-axk") == []


def test_files_and_questions_are_no_settings() -> None:
    typed = parse(["-F", "none", "-E", "log", "-G", "h"])
    assert (typed.config_file, typed.log_file, typed.dump, typed.settings) == ("none", "log", True, ())
    assert parse(["-V"]).version
    assert parse(["-Q", "cipher"]).query == "cipher"


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        ([], "no destination"),
        (["-v"], "no destination"),
        (["-z", "h"], "unknown option -z"),
        (["-\x1b", "h"], r"unknown option -\\x1b"),
        (["h", "-p"], "option -p needs an argument"),
        (["-l", "a\nb", "h"], "a control character"),
        *(
            (["-" + letter, "x", "h"], f"option -{letter} is not supported yet")
            for letter in "AfgKMXYyBDIJLOPRSWw"
        ),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told(argv: list[str], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        parse(argv)


def test_the_command_line_is_a_plain_record() -> None:
    assert parse(["h"]) == CommandLine("h", None, (), None, None, 0, False, None, False)
