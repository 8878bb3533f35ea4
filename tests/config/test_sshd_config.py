"""sshd_config: every keyword is obeyed, known without effect, or refused with its place."""

import re
from pathlib import Path
from typing import Any

import pytest

from sshkit.config import sshd_config
from sshkit.config.parser import COMMAND_LINE, DEFAULT, Place
from sshkit.config.sshd_config import ConfigErrors, ServerOptions, read_server_config
from sshkit.config.sshd_keywords import ALIASES, COLLECTED, LIMITED, NO_EFFECT, OBEYED, REFUSED
from sshkit.config.values import RekeyLimit

#: Every keyword of OpenSSH 10's servconf.c that a file of today may hold.
OPENSSH_10 = """
AcceptEnv AddressFamily AllowAgentForwarding AllowGroups AllowStreamLocalForwarding AllowTcpForwarding
AllowUsers AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysCommandUser AuthorizedKeysFile
AuthorizedPrincipalsCommand AuthorizedPrincipalsCommandUser AuthorizedPrincipalsFile Banner
CASignatureAlgorithms ChannelTimeout ChrootDirectory Ciphers ClientAliveCountMax ClientAliveInterval
Compression DenyGroups DenyUsers DisableForwarding ExposeAuthInfo FingerprintHash ForceCommand GatewayPorts
GSSAPIAuthentication GSSAPICleanupCredentials GSSAPIDelegateCredentials GSSAPIStrictAcceptorCheck
HostbasedAcceptedAlgorithms HostbasedAuthentication HostbasedUsesNameFromPacketOnly HostCertificate HostKey
HostKeyAgent HostKeyAlgorithms IgnoreRhosts IgnoreUserKnownHosts Include IPQoS KbdInteractiveAuthentication
KerberosAuthentication KerberosGetAFSToken KerberosOrLocalPasswd KerberosTicketCleanup KexAlgorithms
ListenAddress LoginGraceTime LogLevel LogVerbose MACs Match MaxAuthTries MaxSessions MaxStartups ModuliFile
PAMServiceName PasswordAuthentication PermitEmptyPasswords PermitListen PermitOpen PermitRootLogin PermitTTY
PermitTunnel PermitUserEnvironment PermitUserRC PerSourceMaxStartups PerSourceNetBlockSize
PerSourcePenalties PerSourcePenaltyExemptList PidFile Port PrintLastLog PrintMotd PubkeyAcceptedAlgorithms
PubkeyAuthentication PubkeyAuthOptions RDomain RefuseConnection RekeyLimit RequiredRSASize RevokedKeys
SecurityKeyProvider SetEnv SshdAuthPath SshdSessionPath StreamLocalBindMask StreamLocalBindUnlink
StrictModes Subsystem SyslogFacility TCPKeepAlive TrustedUserCAKeys UnusedConnectionTimeout UseDNS UsePAM
VersionAddendum X11DisplayOffset X11Forwarding X11UseLocalhost XAuthLocation
"""


def read(*lines: str) -> ServerOptions:
    options = read_server_config(None, lines)
    options.check()
    return options


def wrong(line: str) -> str:
    options = read_server_config(None, [line])
    with pytest.raises(ConfigErrors) as caught:
        options.check()
    assert len(caught.value.errors) == 1
    return str(caught.value).removeprefix("command line: ")


@pytest.mark.parametrize("keyword", OPENSSH_10.split())
def test_every_keyword_of_openssh_is_known(keyword: str) -> None:
    options = read_server_config(None, [f"{keyword} unlikely-value"])
    assert "unknown keyword" not in "".join(str(error) for error in options.errors)


def test_a_keyword_is_in_one_table_only() -> None:
    tables = [OBEYED.keys(), LIMITED.keys(), REFUSED.keys(), NO_EFFECT, ALIASES.keys()]
    assert sum(len(table) for table in tables) == len(set().union(*tables))
    assert not COLLECTED - {name for name, _ in OBEYED.values()}
    assert set(ALIASES.values()) <= OBEYED.keys() | NO_EFFECT


def test_every_setting_has_a_default() -> None:
    options = ServerOptions()
    for name, _ in OBEYED.values():
        assert getattr(options, name).place is DEFAULT
    assert {name for name, _ in OBEYED.values()} == sshd_config.DEFAULTS.keys()


VALUES: list[tuple[str, str, Any]] = [
    ("AllowStreamLocalForwarding remote", "allow_stream_local_forwarding", "remote"),
    ("AllowTcpForwarding all", "allow_tcp_forwarding", "yes"),
    ("AllowTcpForwarding local", "allow_tcp_forwarding", "local"),
    ("DisableForwarding yes", "disable_forwarding", True),
    ("GatewayPorts clientspecified", "gateway_ports", "clientspecified"),
    ("PermitListen any", "permit_listen", None),
    ("PermitListen 8080 localhost:*", "permit_listen", (("*", 8080), ("localhost", None))),
    ("PermitOpen none", "permit_open", ()),
    ("PermitOpen host:80 [::1]:*", "permit_open", (("host", 80), ("::1", None))),
    ("StreamLocalBindMask 0117", "stream_local_bind_mask", 0o117),
    ("StreamLocalBindUnlink yes", "stream_local_bind_unlink", True),
    ("AcceptEnv LANG LC_*", "accept_env", ("LANG", "LC_*")),
    ("AddressFamily inet6", "address_family", "inet6"),
    ("AllowUsers ann bob@192.0.2.0/24", "allow_users", ("ann", "bob@192.0.2.0/24")),
    ("AllowGroups a b", "allow_groups", ("a", "b")),
    ("AuthenticationMethods any", "authentication_methods", ()),
    ("AuthenticationMethods publickey,password", "authentication_methods", ("publickey", "password")),
    ("AuthorizedKeysFile a %h/b", "authorized_keys_files", ("a", "%h/b")),
    ("Banner none", "banner", None),
    ("Banner /etc/issue", "banner", "/etc/issue"),
    ("Ciphers aes128-gcm@openssh.com", "ciphers", "aes128-gcm@openssh.com"),
    ("ClientAliveInterval 1m", "client_alive_interval", 60),
    ("ClientAliveCountMax=0", "client_alive_count_max", 0),
    ('ForceCommand  echo "a b" # c', "force_command", 'echo "a b" # c'),
    ("ForceCommand none", "force_command", None),
    ('HostKey "/a b/key"', "host_keys", ("/a b/key",)),
    ("ChallengeResponseAuthentication yes", "interactive_authentication", True),
    ("ListenAddress 192.0.2.1", "listen_addresses", (("192.0.2.1", None),)),
    ("ListenAddress host:2022", "listen_addresses", (("host", 2022),)),
    ("ListenAddress [::1]:2022", "listen_addresses", (("::1", 2022),)),
    ("ListenAddress [::1]", "listen_addresses", (("::1", None),)),
    ("ListenAddress ::", "listen_addresses", (("::", None),)),
    ("LoginGraceTime 0", "login_grace_time", 0),
    ("LogLevel DEBUG2", "log_level", 6),
    ("MaxAuthTries 3", "max_auth_tries", 3),
    ("MaxSessions 0", "max_sessions", 0),
    ("MaxStartups 5", "max_startups", (5, 30, 5)),
    ("MaxStartups 5:50:20", "max_startups", (5, 50, 20)),
    ("PasswordAuthentication yes", "password_authentication", True),
    ("PermitRootLogin without-password", "permit_root_login", "prohibit-password"),
    ("PerSourceMaxStartups none", "per_source_max_startups", None),
    ("PerSourceMaxStartups 3", "per_source_max_startups", 3),
    ("PerSourceNetBlockSize 24:56", "per_source_net_block_size", (24, 56)),
    ("PerSourceNetBlockSize 16", "per_source_net_block_size", (16, 128)),
    ("PidFile none", "pid_file", None),
    ("Port 2222", "ports", (2222,)),
    ("RekeyLimit 1G 1h", "rekey_limit", RekeyLimit(1 << 30, 3600)),
    ("RequiredRSASize 3072", "required_rsa_size", 3072),
    ("SetEnv A=1 B='x y'", "set_env", (("A", "1"), ("B", "x y"))),
    ("StrictModes no", "strict_modes", False),
    ("Subsystem sftp /bin/sftp-server", "subsystems", (("sftp", "/bin/sftp-server"),)),
    ("Subsystem x /bin/x -l 'a b' # c", "subsystems", (("x", "/bin/x -l 'a b'"),)),
    ("SyslogFacility LOCAL3", "syslog_facility", "local3"),
    ("VersionAddendum of the house", "version_addendum", "of the house"),
    ("VersionAddendum none", "version_addendum", ""),
]


@pytest.mark.parametrize(("line", "name", "value"), VALUES)
def test_a_value_is_read(line: str, name: str, value: Any) -> None:
    setting = getattr(read(line), name)
    assert setting.value == value
    assert setting.place is COMMAND_LINE


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("AcceptEnv A=1", "is not the name of a variable"),
        ("AllowUsers !ann", "exceptions with !"),
        ("DenyUsers ann@host.example", "names of hosts are not looked up"),
        ("AuthenticationMethods publickey password", "more than one list"),
        ("AuthenticationMethods publickey,magic", "'magic' is none of"),
        ("AuthenticationMethods publickey,publickey", "publickey twice"),
        ("ForceCommand", "missing argument"),
        ("ListenAddress [::1", "is not an address"),
        ("ListenAddress [::1]x", "is not an address"),
        ("ListenAddress host:99999", "is not a port"),
        ("ListenAddress host:", "is not a port"),
        ("ListenAddress a rdomain b", "more than one argument"),
        ("Match user ann", "Match blocks are not supported yet"),
        ("MaxStartups 5:50", "is not start:rate:full"),
        ("MaxStartups 50:50:5", "is not start:rate:full"),
        ("MaxStartups 0", "is not start:rate:full"),
        ("MaxStartups 5:0:20", "the rate"),
        ("MaxStartups x", "is not start:rate:full"),
        ("AllowTcpForwarding maybe", "is none of yes, no, local, remote, all"),
        ("GatewayPorts maybe", "is none of no, yes, clientspecified"),
        ("PermitListen nonsense", "has no port from 1 to 65535"),
        ("PermitOpen host", "is not host:port"),
        ("PermitOpen none host:1", "is not host:port"),
        ("StreamLocalBindMask 8", "is not a mask in octal"),
        ("StreamLocalBindMask 7777", "is not a mask in octal"),
        ("PerSourceNetBlockSize 33", "is not bits4"),
        ("PerSourceNetBlockSize 1:2:3", "is not bits4"),
        ("Port 70000", "is not a number from 0 to 65535"),
        ("SetEnv A", "is not NAME=value"),
        ("SetEnv =A", "is not NAME=value"),
        ("Subsystem sftp", "no command"),
        ("UsePAM yes", "only 'no' is possible: PAM is not supported"),
        ("ChrootDirectory /srv", "only 'none' is possible"),
        ("PerSourcePenalties yes", "only 'no' is possible"),
        ("HostKeyAgent /x", "host keys in an agent"),
        ("VersionAddendum gr\xfc\xdfe", "only printable ASCII"),
        ("NoSuchKeyword x", "unknown keyword 'NoSuchKeyword'"),
        ("No\x1bSuch x", r"unknown keyword 'No\\x1bSuch'"),
        ('Banner "x', "a quote that is not closed"),
        ('"Banner x', "a quote that is not closed"),
    ],
)
def test_a_mistake_is_named(line: str, cause: str) -> None:
    assert re.search(cause, wrong(line))


def test_all_mistakes_are_found_each_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("Port 22\nUsePAM yes\n\n# comment\nNoSuch 1\nPort x\nMatch all\n  Nonsense 1\n")
    with pytest.raises(ConfigErrors) as caught:
        read_server_config(str(path), ["Banner"]).check()
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("command line: ")
    assert lines[1].startswith(f"{path}:2: UsePAM")
    assert lines[2] == f"{path}:5: unknown keyword 'NoSuch'"
    assert lines[3].startswith(f"{path}:6: Port")
    assert lines[4].startswith(f"{path}:7: Match")
    assert len(lines) == 5


def test_the_first_value_counts_and_the_command_line_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("MaxSessions 1\nMaxSessions 2\nStrictModes no\n")
    options = read_server_config(str(path), ["StrictModes yes"])
    assert (options.max_sessions.value, options.max_sessions.place) == (1, Place(str(path), 1))
    assert options.strict_modes.value is True


def test_lines_of_lists_add_up(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("Port 1\nPort 2\nHostKey a\nHostKey b\nAllowUsers x\nAllowUsers y z\n")
    options = read_server_config(str(path))
    assert options.ports.value == (1, 2)
    assert options.host_keys.value == ("a", "b")
    assert options.allow_users.value == ("x", "y", "z")


def test_ports_of_the_command_line_replace_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("Port 22\nHostKey b\nListenAddress 192.0.2.1\nListenAddress 192.0.2.2:99\n")
    options = read_server_config(str(path), ["Port 2022", "Port 2023", "HostKey a"])
    assert options.host_keys.value == ("a", "b")
    places = [(place.host, place.port) for place in options.listen_places()]
    assert places == [("192.0.2.1", 2022), ("192.0.2.1", 2023), ("192.0.2.2", 99)]


def test_without_an_address_all_are_listened_at() -> None:
    assert [tuple(place)[:2] for place in read().listen_places()] == [("", 22)]
    assert [tuple(place)[:2] for place in read("ListenAddress *:5", "ListenAddress *:5").listen_places()] == [
        ("", 5)
    ]


def test_files_are_included_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshd_config, "SYSTEM_FOLDER", str(tmp_path))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "2.conf").write_text("MaxSessions 2\n")
    (tmp_path / "d" / "1.conf").write_text("MaxSessions 1\nNoSuch\n")
    main = tmp_path / "main"
    main.write_text("Include d/*.conf nothing/*.conf\nMaxSessions 3\nInclude\n")
    options = read_server_config(str(main))
    assert options.max_sessions.value == 1
    assert [str(error.place) for error in options.errors] == [f"{tmp_path}/d/1.conf:2", f"{main}:3"]


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    path = tmp_path / "loop"
    path.write_text(f"Include {path}\n")
    with pytest.raises(ConfigErrors, match="more than 16 files within files"):
        read_server_config(str(path)).check()


def test_an_included_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "main"
    path.write_text(f"Include {tmp_path}\n")
    with pytest.raises(ConfigErrors, match=f"{path}:1: Include {tmp_path}: Is a directory"):
        read_server_config(str(path)).check()


def test_a_damaged_file_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "main"
    path.write_bytes(b"Port 22\nPort\0 23\n")
    with pytest.raises(ConfigErrors, match=f"{path}:2: the line holds a NUL"):
        read_server_config(str(path)).check()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_server_config(str(tmp_path / "missing"))


def test_what_has_no_effect_is_noted_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "main"
    path.write_text("PrintMotd yes\nUsePAM no\n")
    options = read_server_config(str(path), ["", "# nothing"])
    options.check()
    assert options.notes == [f"{path}:1: PrintMotd has no effect in this server"]
