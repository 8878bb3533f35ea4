"""The command line of sshkit-server, its own files, and what -T and -G print."""

import os
import re
import stat
from pathlib import Path

import pytest
from sshkit_cli.server_dump import dumped, effective_lines
from sshkit_cli.server_options import Options, UsageError, groups_of, parse
from sshkit_keys import KeyPermissionsError, load_private_key, write_private_key

from sshkit.config.parser import ConfigError
from sshkit.config.sshd_config import read_server_config
from sshkit.config.sshd_match import MatchFacts
from sshkit.server.own_files import config_path, make_own_key, own_folder
from sshkit.ssh.transport.identification import IDENTIFICATION


def test_options_become_lines_of_configuration_in_their_order() -> None:
    options = parse(["-p", "2022", "-o", "Banner=none", "-h", "/a b", "-p", "2023", "-g", "30", "-6"])
    assert options.overrides == (
        "AddressFamily inet6",
        'Port "2022"',
        "Banner=none",
        'HostKey "/a b"',
        'Port "2023"',
        'LoginGraceTime "30"',
    )


@pytest.mark.parametrize("path", ["/plain", "/with space", '/with"quote', "/back\\slash", "/#hash", "/it's"])
def test_a_path_arrives_as_it_was_given(path: str) -> None:
    options = read_server_config(None, parse(["-h", path]).overrides)
    options.check()
    assert options.host_keys.value == (path,)


def test_quiet_wins_over_debug_and_debug_has_levels() -> None:
    assert parse(["-q", "-d"]).overrides == ("LogLevel QUIET",)
    assert parse(["-d"]).overrides == ("LogLevel DEBUG1",)
    assert parse(["-ddddd", "-4"]).overrides == ("LogLevel DEBUG3", "AddressFamily inet")


def test_flags_are_read() -> None:
    options = parse(["-DeirqtTGvV", "-E", "log", "-f", "file", "-u", "80", "-k", "5"])
    assert options._replace(overrides=()) == Options(
        config_file="file",
        overrides=(),
        log_file="log",
        debug=0,
        foreground=True,
        log_to_stderr=True,
        inetd=True,
        test=True,
        dump=True,
        dump_only=True,
        quiet=True,
        version=True,
        verbose=True,
    )


def test_a_certificate_and_no_names_in_logs_are_lines_of_configuration() -> None:
    assert parse(["-c", "/a-cert.pub", "-u0"]).overrides == ('HostCertificate "/a-cert.pub"', "UseDNS no")


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["-R"], "option -R: sshd calls itself with it"),
        (["-4", "-6"], "only one of -4 and -6"),
        (["more"], "extra argument more"),
        (["-Z\x1b"], "option -Z not recognized"),
        (["-C", "what=x"], "'what=x' is none of user=, host=, addr=, laddr=, lport=, rdomain=, invalid-user"),
        (["-C", "user"], "'user' is none of"),
        (["-C", "lport=x"], "'x' is not a port"),
        (["-C", "lport=0"], "'0' is not a port"),
        (["-C", "lport=70000"], "'70000' is not a port"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], cause: str) -> None:
    with pytest.raises(UsageError, match=re.escape(cause)):
        parse(arguments)


def test_the_connection_of_a_test_adds_up() -> None:
    options = parse(
        ["-C", "user=root,host=a.example,addr=192.0.2.1", "-C", "laddr=::1", "-C", "lport=22,rdomain=v"]
    )
    facts = options.connection
    assert facts[:6] == ("root", "a.example", "192.0.2.1", "::1", 22, "v")
    assert not facts.invalid_user
    assert f"SSH-2.0-{facts.version}".encode() == IDENTIFICATION
    assert callable(facts.groups)
    assert "root" in facts.groups()
    assert parse(["-C", "invalid-user,", "-C", ""]).connection == MatchFacts(
        invalid_user=True, version=facts.version
    )


@pytest.mark.parametrize("user", ["no such user", "a\0b", "\ud800"])
def test_who_does_not_exist_is_in_no_group(user: str) -> None:
    assert groups_of(user) == ()


def dump(tmp_path: Path, text: str, *arguments: str) -> list[str]:
    path = tmp_path / "config"
    path.write_text(text)
    options = parse(["-G", "-f", str(path), *arguments])
    configuration = read_server_config(str(path), options.overrides, None)
    configuration.check()
    return dumped(options, configuration).splitlines()


def test_each_value_says_where_it_was_set(tmp_path: Path) -> None:
    text = "Port 2222\nWorkers 2\nMatch user ann\n  Banner /x\n"
    lines = dump(tmp_path, text, "-v", "-C", "user=ann", "-o", "MaxSessions 3")
    assert f"{'port 2222':40}  # {tmp_path}/config:1" in lines
    assert f"{'banner /x':40}  # {tmp_path}/config:4" in lines
    assert f"{'maxsessions 3':40}  # command line" in lines
    assert f"{'maxauthtries 6':40}  # default" in lines


def test_keywords_that_sshd_does_not_know_are_printed_where_they_were_set(tmp_path: Path) -> None:
    assert "workers" not in "".join(dump(tmp_path, ""))
    lines = dump(
        tmp_path, "Workers 2\nMetricsAddress [::1]:9\nLogFormat json\nPerSourcePenalties invaliduser:9\n"
    )
    assert {"workers 2", "metricsaddress [::1]:9", "logformat json"} <= set(lines)
    assert any(line.startswith("persourcepenalties crash:90 authfail:5 invaliduser:9 ") for line in lines)
    assert "metricsaddress /m" in dump(tmp_path, "MetricsAddress /m\n")
    assert "metricsaddress 127.0.0.1:9" in dump(tmp_path, "MetricsAddress 127.0.0.1:9\n")
    assert "metricsaddress none" in dump(tmp_path, "MetricsAddress none\n")


def test_r36_control_characters_of_a_file_are_not_printed_raw(tmp_path: Path) -> None:
    lines = dump(tmp_path, "Banner /\x1b[2J\nSubsystem a\x07 /b\nForceCommand \x9b1m\nListenAddress \x1b7\n")
    assert {
        "listenaddress \\x1b7:22",
        "banner /\\x1b[2J",
        "subsystem a\\x07 /b",
        "forcecommand \\x9b1m",
    } <= set(lines)


def test_algorithms_are_printed_as_they_are_offered(tmp_path: Path) -> None:
    lines = dump(tmp_path, "Ciphers aes128-ctr,rijndael-cbc@lysator.liu.se\nMACs -hmac-sha2-256\n")
    assert "ciphers aes128-ctr" in lines
    assert not any(line.startswith("macs ") and line.endswith("hmac-sha2-256") for line in lines)
    with pytest.raises(ConfigError, match=r"config:1: Ciphers: unknown algorithm 'nosuch'"):
        dump(tmp_path, "Ciphers nosuch\n")


#: OpenSSH's own test of the order of addresses (regress/cfgparse.sh).
ORDER = [
    "listenaddress 1.2.3.4:1234",
    "listenaddress 1.2.3.4:5678",
    "listenaddress [::1]:1234",
    "listenaddress [::1]:5678",
]


@pytest.mark.parametrize(
    "text",
    [
        "addressfamily any\nport 1234\nport 5678\nlistenaddress 1.2.3.4\nlistenaddress ::1\n",
        "listenaddress 1.2.3.4\nport 1234\nport 5678\naddressfamily any\nlistenaddress ::1\n",
    ],
)
def test_addresses_are_printed_in_the_order_of_the_file(tmp_path: Path, text: str) -> None:
    assert [line for line in dump(tmp_path, text) if line.startswith("listenaddress")] == ORDER


@pytest.mark.parametrize(
    ("family", "shown"),
    [("any", ["[::]:22", "0.0.0.0:22"]), ("inet", ["0.0.0.0:22"]), ("inet6", ["[::]:22"])],
)
def test_every_address_is_one_of_each_family(tmp_path: Path, family: str, shown: list[str]) -> None:
    lines = dump(tmp_path, f"AddressFamily {family}\n")
    assert [line for line in lines if line.startswith("listenaddress")] == [
        f"listenaddress {text}" for text in shown
    ]


def test_what_is_printed_can_be_read_and_is_printed_again(tmp_path: Path) -> None:
    lines = dump(tmp_path, "HostKey /k\nMaxStartups 1:2:3\nMaxStartups 8:16:32\n")
    assert "maxstartups 1:2:3" in lines
    assert dump(tmp_path, "\n".join(lines)) == lines
    assert "port 22" in list(effective_lines(read_server_config(None)))


def test_the_folder_is_where_the_user_keeps_configurations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert own_folder() == "/elsewhere/sshkit"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert own_folder() == f"{tmp_path}/.config/sshkit"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert own_folder() == f"{tmp_path}/.config/sshkit"
    assert config_path() is None


def test_the_own_key_is_made_once_and_private(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "sshkit")
    path = make_own_key(folder)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    key = load_private_key(path)
    assert make_own_key(folder) == path
    assert load_private_key(path).public == key.public
    assert Path(f"{path}.pub").read_text().startswith("ssh-ed25519 ")


def test_no_key_is_made_where_others_may_write(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(KeyPermissionsError, match="others may write here"):
        make_own_key(str(folder))
    assert os.listdir(folder) == []


def test_two_servers_that_start_at_once_use_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sshkit_keys

    def other_was_quicker(path: str, data: bytes, overwrite: bool = False) -> None:
        write_private_key(path, data)
        raise FileExistsError

    monkeypatch.setattr(sshkit_keys, "write_private_key", other_was_quicker)
    path = make_own_key(str(tmp_path / "x"))
    assert load_private_key(path)
    assert not os.path.exists(f"{path}.pub")
