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


def test_each_switch_is_a_line_that_comes_first() -> None:
    assert settings("-axkfgKXY") == [
        "ForwardAgent no",
        "ForwardX11 yes",
        "GSSAPIDelegateCredentials yes",
        "GSSAPIAuthentication yes",
        "ForwardX11Trusted yes",
        "ForkAfterAuthentication yes",
        "StdinNull yes",
        "GatewayPorts yes",
    ]
    assert settings("-o", "ForwardAgent=no", "-aA") == ["ForwardAgent yes", "ForwardAgent=no"]
    assert settings("-A", "-L", "1:h:2", "-R", "3", "-D", "4", "-J", "a,b", "-P", "t", "-S", "s") == [
        "ForwardAgent yes",
        'LocalForward "1:h:2"',
        'RemoteForward "3"',
        'DynamicForward "4"',
        'ProxyJump "a,b"',
        'Tag "t"',
        'ControlPath "s"',
    ]
    assert settings("-M") == ["ControlMaster yes"]
    assert settings("-MM") == ["ControlMaster ask"]
    assert settings("-w", "1:2") == ['TunnelDevice "1:2"', "Tunnel point-to-point"]


def test_a_direct_connection_wants_nothing_beside_it() -> None:
    typed = parse(["-W", "h:1", "host"])
    assert typed.direct == "h:1"
    assert ("ClearAllForwardings", "yes") in typed.settings
    assert ("SessionType", "none") in typed.settings


def test_what_is_said_to_a_master_and_to_the_log_is_no_setting() -> None:
    typed = parse(["-O", "check", "-y", "h"])
    assert (typed.control, typed.syslog, typed.settings) == ("check", True, ())


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
        (["-W", "h:1", "h", "true"], "-W goes without a command"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_told(argv: list[str], cause: str) -> None:
    with pytest.raises(UsageError, match=cause):
        parse(argv)


def test_the_command_line_is_a_plain_record() -> None:
    assert parse(["h"]) == CommandLine("h", None, (), None, None, 0, False, None, False)
