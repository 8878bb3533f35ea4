"""Values of sshd_config: what each keyword reads, and what it refuses."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from sshkit.config.parser import COMMAND_LINE
from sshkit.config.sshd_addresses import AddressList, InvalidAddress
from sshkit.config.sshd_config import ConfigErrors, ServerOptions, read_server_config
from sshkit.config.sshd_keywords import KEYWORDS
from sshkit.config.sshd_values import MetricsAddress, PenaltyTimes
from sshkit.config.values import RekeyLimit
from sshkit.server import penalties


def read(*lines: str) -> ServerOptions:
    options = read_server_config(None, lines)
    options.check()
    return options


VALUES: list[tuple[str, str, Any]] = [
    ("AcceptEnv LANG LC_*", "accept_env", ("LANG", "LC_*")),
    ("AddressFamily inet6", "address_family", "inet6"),
    ("AllowGroups a b", "allow_groups", ("a", "b")),
    ("AllowStreamLocalForwarding remote", "allow_stream_local_forwarding", "remote"),
    ("AllowTcpForwarding all", "allow_tcp_forwarding", "yes"),
    ("AllowTcpForwarding local", "allow_tcp_forwarding", "local"),
    ("AllowUsers ann bob@192.0.2.0/24", "allow_users", ("ann", "bob@192.0.2.0/24")),
    ("AuthenticationMethods any", "authentication_chains", ()),
    (
        "AuthenticationMethods publickey,password publickey,keyboard-interactive:pam",
        "authentication_chains",
        (("publickey", "password"), ("publickey", "keyboard-interactive:pam")),
    ),
    ("AuthenticationMethods publickey,publickey", "authentication_chains", (("publickey", "publickey"),)),
    ("AuthenticationMethods any", "authentication_methods", ()),
    (
        "AuthenticationMethods publickey,keyboard-interactive:pam password",
        "authentication_methods",
        ("publickey", "keyboard-interactive"),
    ),
    ("AuthorizedKeysFile a ~/b", "authorized_keys_files", ("a", "/home/me/b")),
    ("AuthorizedPrincipalsFile ~/p", "authorized_principals_file", "/home/me/p"),
    ("Banner ~/b", "banner", "/home/me/b"),
    ("Banner b", "banner", "/here/b"),
    ("HostKey none", "host_keys", ()),
    ("HostKeyAgent a", "host_key_agent", "/here/a"),
    ("ChrootDirectory none", "chroot_directory", None),
    ("AuthorizedKeysCommand none", "authorized_keys_command", None),
    ("AuthorizedKeysFile a %h/b", "authorized_keys_files", ("a", "%h/b")),
    ("AuthorizedKeysFile none", "authorized_keys_files", ()),
    ("Banner none", "banner", None),
    ("Banner /etc/issue", "banner", "/etc/issue"),
    ("ChallengeResponseAuthentication yes", "interactive_authentication", True),
    ("ChannelTimeout session=5m *=1h", "channel_timeouts", (("session", 300), ("*", 3600))),
    ("ChrootDirectory /srv/%u", "chroot_directory", "/srv/%u"),
    ("Ciphers aes128-gcm@openssh.com", "ciphers", "aes128-gcm@openssh.com"),
    ("ClientAliveCountMax=0", "client_alive_count_max", 0),
    ("ClientAliveInterval 1m", "client_alive_interval", 60),
    ("Compression delayed", "compression", True),
    ("DisableForwarding yes", "disable_forwarding", True),
    ("FingerprintHash MD5", "fingerprint_hash", "md5"),
    ('ForceCommand  echo "a b" # c', "force_command", 'echo "a b" # c'),
    ("ForceCommand none", "force_command", None),
    ("GatewayPorts clientspecified", "gateway_ports", "clientspecified"),
    ("HostKeyAgent SSH_AUTH_SOCK", "host_key_agent", "SSH_AUTH_SOCK"),
    ('HostKey "/a b/key"', "host_keys", ("/a b/key",)),
    ("IgnoreRhosts shosts-only", "ignore_rhosts", "shosts-only"),
    ("IPQoS af21 cs1", "ip_qos", (0x48, 0x20)),
    ("ListenAddress 192.0.2.1", "listen_addresses", (("192.0.2.1", None),)),
    ("ListenAddress ::", "listen_addresses", (("::", None),)),
    ("ListenAddress [::1]", "listen_addresses", (("::1", None),)),
    ("ListenAddress [::1]:2022", "listen_addresses", (("::1", 2022),)),
    ("ListenAddress host:2022", "listen_addresses", (("host", 2022),)),
    ("LogFormat json", "log_format", "json"),
    ("LoginGraceTime 0", "login_grace_time", 0),
    ("LogLevel DEBUG2", "log_level", 6),
    ("LogVerbose kex.c:*:1000 packet.c", "log_verbose", ("kex.c:*:1000", "packet.c")),
    ("LogVerbose none", "log_verbose", ()),
    ("MaxAuthTries 3", "max_auth_tries", 3),
    ("MaxSessions 0", "max_sessions", 0),
    ("MaxStartups 5", "max_startups", (5, 30, 5)),
    ("MaxStartups 5:50:20", "max_startups", (5, 50, 20)),
    ("MetricsAddress 127.0.0.1:9100", "metrics_address", MetricsAddress("127.0.0.1", 9100)),
    ("MetricsAddress [::1]:9100", "metrics_address", MetricsAddress("::1", 9100)),
    ("MetricsAddress /run/m.sock", "metrics_address", MetricsAddress("", 0, "/run/m.sock")),
    ("MetricsAddress none", "metrics_address", None),
    ("ModuliFile /m", "moduli_file", "/m"),
    ("PasswordAuthentication yes", "password_authentication", True),
    ("PermitListen any", "permit_listen", None),
    ("PermitListen 8080 localhost:*", "permit_listen", (("*", 8080), ("localhost", None))),
    ("PermitOpen none", "permit_open", ()),
    ("PermitOpen host:80 [::1]:*", "permit_open", (("host", 80), ("::1", None))),
    ("PermitRootLogin without-password", "permit_root_login", "prohibit-password"),
    ("PermitUserEnvironment yes", "permit_user_environment", "*"),
    ("PermitUserEnvironment no", "permit_user_environment", None),
    ("PermitUserEnvironment LANG,LC_*", "permit_user_environment", "LANG,LC_*"),
    ("PerSourceMaxStartups 3", "per_source_max_startups", 3),
    ("PerSourceMaxStartups none", "per_source_max_startups", None),
    ("PerSourceNetBlockSize 16", "per_source_net_block_size", (16, 128)),
    ("PerSourceNetBlockSize 24:56", "per_source_net_block_size", (24, 56)),
    ("PerSourcePenalties no", "per_source_penalties", None),
    ("PerSourcePenalties yes", "per_source_penalties", PenaltyTimes()),
    (
        "PerSourcePenalties crash:1m max-sources4:9 overflow:deny-all",
        "per_source_penalties",
        PenaltyTimes(crash=60, max_sources4=9, overflow4="deny-all", overflow6="deny-all"),
    ),
    (
        "PerSourcePenalties overflow:deny-all overflow6:permissive invaliduser:1h",
        "per_source_penalties",
        PenaltyTimes(overflow4="deny-all", overflow6="permissive", invalid_user=3600),
    ),
    ("PerSourcePenaltyExemptList 10.0.0.0/8,!::1", "penalty_exempt", AddressList("10.0.0.0/8,!::1")),
    ("PerSourcePenaltyExemptList none", "penalty_exempt", None),
    ("PidFile none", "pid_file", None),
    ("Port 2222", "ports", (2222,)),
    ("ProxyProtocol required", "proxy_protocol", "required"),
    ("PubkeyAuthOptions none touch-required", "pubkey_auth_options", frozenset({"touch-required"})),
    ("PubkeyAuthOptions none", "pubkey_auth_options", frozenset()),
    ("RekeyLimit 1G 1h", "rekey_limit", RekeyLimit(1 << 30, 3600)),
    ("RequiredRSASize 3072", "required_rsa_size", 3072),
    ("SetEnv A=1 B='x y' A=2", "set_env", (("A", "1"), ("B", "x y"))),
    ("StreamLocalBindMask 0117", "stream_local_bind_mask", 0o117),
    ("StreamLocalBindUnlink yes", "stream_local_bind_unlink", True),
    ("StrictModes no", "strict_modes", False),
    ("Subsystem sftp /bin/sftp-server", "subsystems", (("sftp", "/bin/sftp-server"),)),
    ("Subsystem x /bin/x -l 'a b' # c", "subsystems", (("x", '/bin/x -l "a b"'),)),
    ("Subsystem x '/bin/x -l a'", "subsystems", (("x", "/bin/x -l a"),)),
    ("Subsystem x /bin/x $HOME 'it\\'s' ''", "subsystems", (("x", '/bin/x $HOME it\\\'s ""'),)),
    ("SyslogFacility LOCAL3", "syslog_facility", "local3"),
    ("UnusedConnectionTimeout 5m", "unused_connection_timeout", 300),
    ("UsePAM yes", "use_pam", True),
    ("VersionAddendum none", "version_addendum", ""),
    ("VersionAddendum of the house", "version_addendum", "of the house"),
    ("Workers 0", "workers", 0),
    ("X11DisplayOffset 0", "x11_display_offset", 0),
]


@pytest.mark.parametrize(("line", "name", "value"), VALUES)
def test_a_value_is_read(line: str, name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(os, "getcwd", lambda: "/here")
    setting = getattr(read(line), name)
    assert setting.value == value
    assert setting.place is COMMAND_LINE


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("AcceptEnv A=1", "is not the name of a variable"),
        ("AllowGroups ''", "an empty argument"),
        ("AllowTcpForwarding maybe", "is none of yes, no, local, remote, all"),
        ("AllowUsers !ann", "exceptions with !"),
        ("AllowUsers ann@10.0.0.0/33", "the length is not from 0 to 32"),
        ("AuthenticationMethods publickey any", '"any" stands alone'),
        ("AuthenticationMethods publickey,magic", "'magic' is none of"),
        ("AuthenticationMethods publickey,", "'' is none of"),
        ("AuthorizedKeysCommand relative %u", "does not begin with /"),
        ("ChannelTimeout session", "is not KIND=TIME"),
        ("ChannelTimeout none session=1", '"none" stands alone'),
        ("DenyUsers ann@host.example", "names of hosts are not looked up"),
        ("ForceCommand", "missing argument"),
        ("GatewayPorts maybe", "is none of no, yes, clientspecified"),
        ("IPQoS loud", "is no class of service"),
        ("ListenAddress [::1", "is not an address"),
        ("ListenAddress [::1]x", "is not an address"),
        ("ListenAddress a rdomain b", "a routing domain is not possible here"),
        ("ListenAddress a b", "more than one argument"),
        ("ListenAddress host:", "is not a port"),
        ("ListenAddress host:99999", "is not a port"),
        ("LogVerbose none kex.c", '"none" stands alone'),
        ("MaxStartups 0", "is not start:rate:full"),
        ("MaxStartups 50:50:5", "is not start:rate:full"),
        ("MaxStartups 5:0:20", "the rate"),
        ("MaxStartups 5:50", "is not start:rate:full"),
        ("MaxStartups x", "is not start:rate:full"),
        ("MetricsAddress 127.0.0.1", "is neither host:port nor a path"),
        ("MetricsAddress :9", "is neither host:port nor a path"),
        ("PermitListen nonsense", "has no port from 1 to 65535"),
        ("PermitOpen host", "is not host:port"),
        ("PermitOpen none host:1", "is not host:port"),
        ("PerSourceNetBlockSize 1:2:3", "is not bits4"),
        ("PerSourceNetBlockSize 33", "is not bits4"),
        ("PerSourcePenalties yes crash:1", "'yes' stands alone"),
        ("PerSourcePenalties crash:1 no", "'no' stands alone"),
        ("PerSourcePenalties crash", "'crash' is not NAME:VALUE with one of crash, authfail, invaliduser"),
        ("PerSourcePenalties magic:1", "is not NAME:VALUE"),
        ("PerSourcePenalties crash:x", "is not a time"),
        ("PerSourcePenalties max-sources6:0", "is not a number of sources"),
        ("PerSourcePenalties max-sources6:99999999999999", "is not a number of sources"),
        ("PerSourcePenalties overflow:maybe", "is none of permissive, deny-all"),
        ("PerSourcePenaltyExemptList 10.0.0.1/8", "bits behind"),
        ("Port 70000", "is not a number from 0 to 65535"),
        ("PubkeyAuthOptions magic", "'magic' is none of none, touch-required"),
        ("SetEnv =A", "is not NAME=value"),
        ("SetEnv A", "is not NAME=value"),
        ("StreamLocalBindMask 7777", "is not a mask in octal"),
        ("StreamLocalBindMask 8", "is not a mask in octal"),
        ("Subsystem sftp", "no command"),
        ("VersionAddendum gr\xfc\xdfe", "only printable ASCII"),
        ("Workers 2000", "is not a number from 0 to 1024"),
        ("NoSuchKeyword x", "unknown keyword 'NoSuchKeyword'"),
        ("No\x1bSuch x", r"unknown keyword 'No\\x1bSuch'"),
        ('Banner "x', "a quote that is not closed"),
        ('"Banner x', "a quote that is not closed"),
    ],
)
def test_a_mistake_is_named(line: str, cause: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read(line)
    assert len(caught.value.errors) == 1
    assert re.search(cause, str(caught.value).removeprefix("command line: "))


@pytest.mark.parametrize("keyword", sorted(KEYWORDS))
def test_r18_numbers_without_end_are_mistakes_or_words(keyword: str) -> None:
    for form in ("{}", "h:{}", "1:{}", "crash:{}", "max-sources4:{}", "::/{}", "a=1{}", "{}h"):
        for digits in ("0" * 5000, "9" * 5000):
            options = read_server_config(None, [f"{keyword} {form.format(digits)}"])
            assert len(options.errors) <= 1


def test_penalties_are_those_that_the_server_gives() -> None:
    def taken(times: penalties.PenaltyTimes) -> int:
        return times.max_sources4

    assert taken(PenaltyTimes()) == 65536
    assert {attribute for attribute, _ in penalties.CAUSES.values()} <= set(PenaltyTimes._fields)


def test_of_each_penalty_the_first_line_counts() -> None:
    options = read("PerSourcePenalties crash:1m", "PerSourcePenalties crash:2m noauth:9")
    assert options.per_source_penalties.value == PenaltyTimes(crash=60, noauth=9)
    assert options.penalty_parts.place is COMMAND_LINE
    assert read("PerSourcePenalties no", "PerSourcePenalties crash:1").per_source_penalties.value is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "an empty entry"),
        ("10.0.0.1,,::1", "an empty entry"),
        ("!", "an empty entry"),
        ("host/8", "is not a network"),
        ("fe80::%eth0/64", "is not a network"),
        ("10.0.0.0/", "the length is not from 0 to 32"),
        ("10.0.0.0/8/8", "the length is not from 0 to 32"),
        ("10.0.0.0/255.0.0.0", "the length is not from 0 to 32"),
        ("::/129", "the length is not from 0 to 128"),
        ("::ffff:10.0.0.0/8", "the length is not from 0 to 32"),
        ("::1/64", "are not zero"),
    ],
)
def test_a_list_of_addresses_with_a_mistake_is_refused(text: str, cause: str) -> None:
    with pytest.raises(InvalidAddress, match=cause):
        AddressList(text)


def test_a_list_of_addresses_is_shown_as_it_was_written() -> None:
    addresses = AddressList("::ffff:10.0.0.0/104,!10.1.2.*")
    assert (str(addresses), repr(addresses)) == (addresses.text, f"<AddressList {addresses.text}>")
    assert hash(addresses) == hash(AddressList(addresses.text))
    assert addresses != AddressList("::1")
    assert addresses.matches("10.9.9.9", (4, 10 << 24, 32))
    assert not addresses.matches("10.1.2.3", (4, 10 << 24, 32))


def test_a_relative_path_needs_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    with pytest.raises(ConfigErrors, match="Banner: 'b' is relative to a directory that is gone"):
        read("Banner b")
    assert read("Banner /b").banner.value == "/b"


@pytest.mark.parametrize("name", ["AuthorizedKeysCommand", "AuthorizedPrincipalsCommand"])
def test_a_command_needs_somebody_to_run_it(name: str, tmp_path: Path) -> None:
    options = read(f"{name} /bin/keys %u '%k'", f"{name}User nobody")
    values = {getattr(options, f"authorized_{kind}_command").value for kind in ("keys", "principals")}
    assert values == {None, "/bin/keys %u '%k'"}
    with pytest.raises(ConfigErrors, match=f"command line: {name} without {name}User"):
        read(f"{name} /x")
    path = tmp_path / "config"
    path.write_text(f"Match all\n{name} /x\n")
    with pytest.raises(ConfigErrors, match=f"{path}:2: {name} without {name}User"):
        read_server_config(str(path)).check()
    read_server_config(str(path), [f"{name}User nobody"]).check()
