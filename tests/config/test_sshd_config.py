"""sshd_config: files, lines and blocks; every keyword is known, every mistake named with its place."""

import re
from pathlib import Path

import pytest

from sshkit.config import sshd_config
from sshkit.config.parser import DEFAULT, Place
from sshkit.config.sshd_config import ConfigErrors, ServerOptions, read_server_config
from sshkit.config.sshd_keywords import ALIASES, BLOCK, GONE, KEYWORDS, LIST, OURS, OWN_DEFAULTS
from sshkit.config.sshd_match import MatchFacts
from sshkit.config.sshd_meanings import DEVIATIONS, MEANINGS
from sshkit.config.sshd_without_effect import WITHOUT_EFFECT

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
#: Those that sshd_config(5) of OpenSSH 10.0 lets stand in a Match block.
IN_BLOCKS = """
AcceptEnv AllowAgentForwarding AllowGroups AllowStreamLocalForwarding AllowTcpForwarding AllowUsers
AuthenticationMethods AuthorizedKeysCommand AuthorizedKeysCommandUser AuthorizedKeysFile
AuthorizedPrincipalsCommand AuthorizedPrincipalsCommandUser AuthorizedPrincipalsFile Banner
CASignatureAlgorithms ChannelTimeout ChrootDirectory ClientAliveCountMax ClientAliveInterval DenyGroups
DenyUsers DisableForwarding ExposeAuthInfo ForceCommand GatewayPorts GSSAPIAuthentication
HostbasedAcceptedAlgorithms HostbasedAuthentication HostbasedUsesNameFromPacketOnly IgnoreRhosts
IPQoS KbdInteractiveAuthentication KerberosAuthentication LogLevel MaxAuthTries MaxSessions
PAMServiceName PasswordAuthentication PermitEmptyPasswords PermitListen PermitOpen PermitRootLogin PermitTTY
PermitTunnel PermitUserRC PubkeyAcceptedAlgorithms PubkeyAuthentication PubkeyAuthOptions RefuseConnection
RekeyLimit RevokedKeys SetEnv StreamLocalBindMask StreamLocalBindUnlink TrustedUserCAKeys
UnusedConnectionTimeout X11DisplayOffset X11Forwarding X11UseLocalhost
LogVerbose RDomain RequiredRSASize Subsystem GSSAPIDelegateCredentials GSSAPIEnablek5users
"""


@pytest.mark.parametrize("keyword", OPENSSH_10.split())
def test_every_keyword_of_openssh_is_known(keyword: str) -> None:
    options = read_server_config(None, [f"{keyword} unlikely-value"])
    assert "unknown keyword" not in "".join(str(error) for error in options.errors)


def test_the_tables_agree() -> None:
    known = {word.lower() for word in OPENSSH_10.split()} - {"include", "match"}
    assert known <= KEYWORDS.keys()
    assert not KEYWORDS.keys() & (GONE | ALIASES.keys())
    assert set(ALIASES.values()) <= KEYWORDS.keys()
    assert WITHOUT_EFFECT.keys() | OURS | {name.lower() for name in DEVIATIONS} <= KEYWORDS.keys()
    assert MEANINGS.keys() == KEYWORDS.keys()
    attributes = {keyword.attribute for keyword in KEYWORDS.values()}
    assert len(attributes) == len(KEYWORDS)
    assert OWN_DEFAULTS.keys() <= attributes


def test_blocks_may_hold_what_sshd_lets_them_hold() -> None:
    allowed = {name for name, keyword in KEYWORDS.items() if keyword.flags & BLOCK}
    assert allowed == {word.lower() for word in IN_BLOCKS.split()}


def test_a_list_has_a_tuple_for_its_default() -> None:
    assert all(isinstance(keyword.default, tuple) for keyword in KEYWORDS.values() if keyword.flags & LIST)


def test_every_setting_has_sshds_default_unless_the_caller_has_another() -> None:
    ours, options = ServerOptions({"banner": "/b"}), ServerOptions()
    for keyword in KEYWORDS.values():
        setting = getattr(options, keyword.attribute)
        assert (setting.value, setting.place) == (keyword.default, DEFAULT)
    assert (ours.banner.value, ours.banner.place) == ("/b", DEFAULT)
    assert options.password_authentication.value is True
    assert read_server_config(None).password_authentication.value is False
    assert read_server_config(None, defaults=None).password_authentication.value is True


def test_all_mistakes_are_found_each_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text(
        "Port 22\nUsePAM maybe\n\n# comment\nNoSuch 1\nPort x\nMatch all\n  Nonsense 1\n Port 1\n"
    )
    with pytest.raises(ConfigErrors) as caught:
        read_server_config(str(path), ["Banner"]).check()
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("command line: ")
    assert lines[1].startswith(f"{path}:2: UsePAM")
    assert lines[2] == f"{path}:5: unknown keyword 'NoSuch'"
    assert lines[3].startswith(f"{path}:6: Port")
    assert lines[4] == f"{path}:8: unknown keyword 'Nonsense'"
    assert lines[5] == f"{path}:9: Port is not allowed within a Match block"
    assert len(lines) == 6 == len(caught.value.errors)


def test_the_first_value_counts_and_the_command_line_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("MaxSessions 1\nMaxSessions 2\nStrictModes no\nMaxStartups 1:2:3\nMaxStartups 8:16:32\n")
    options = read_server_config(str(path), ["StrictModes yes"])
    assert (options.max_sessions.value, options.max_sessions.place) == (1, Place(str(path), 1))
    assert options.strict_modes.value is True
    assert options.max_startups.value == (1, 2, 3)


def test_lines_of_lists_add_up(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("Port 1\nPort 2\nHostKey /a\nHostKey /b\nAllowUsers x\nAllowUsers y z\n")
    options = read_server_config(str(path))
    assert options.ports.value == (1, 2)
    assert options.host_keys.value == ("/a", "/b")
    assert options.allow_users.value == ("x", "y", "z")


def test_ports_of_the_command_line_replace_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("Port 22\nHostKey /b\nListenAddress 192.0.2.1\nListenAddress 192.0.2.2:99\n")
    options = read_server_config(str(path), ["Port 2022", "Port 2023", "HostKey /a"])
    assert options.host_keys.value == ("/a", "/b")
    places = [(place.host, place.port) for place in options.listen_places()]
    assert places == [("192.0.2.1", 2022), ("192.0.2.1", 2023), ("192.0.2.2", 99)]


def test_without_an_address_all_are_listened_at() -> None:
    assert [tuple(place)[:2] for place in read_server_config(None).listen_places()] == [("", 22)]
    twice = read_server_config(None, ["ListenAddress *:5", "ListenAddress *:5"])
    assert [tuple(place)[:2] for place in twice.listen_places()] == [("", 5)]


def test_files_are_included_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sshd_config, "SYSTEM_FOLDER", str(tmp_path))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "2.conf").write_text("MaxSessions 2\n")
    (tmp_path / "d" / "1.conf").write_text("MaxSessions 1\nNoSuch\n")
    main = tmp_path / "main"
    main.write_text("Include d/*.conf nothing/*.conf\nMaxSessions 3\nInclude\nInclude ''\n")
    options = read_server_config(str(main))
    assert options.max_sessions.value == 1
    places = [str(error.place) for error in options.errors]
    assert places == [f"{tmp_path}/d/1.conf:2", f"{main}:3", f"{main}:4"]


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    path = tmp_path / "loop"
    path.write_text(f"Include {path}\n")
    with pytest.raises(ConfigErrors, match="more than 16 files within files"):
        read_server_config(str(path)).check()


def test_r18_files_that_include_themselves_twice_end_soon(tmp_path: Path) -> None:
    path = tmp_path / "loop"
    path.write_text(f"Include {path} {path}\n")
    with pytest.raises(ConfigErrors, match=f"more than {sshd_config.MAX_FILES} files"):
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


@pytest.mark.parametrize("line", ["Match user ann", "Include /x"])
def test_blocks_and_files_have_no_place_on_the_command_line(line: str) -> None:
    with pytest.raises(ConfigErrors, match=r"^command line: .* has no place here; write it into a file"):
        read_server_config(None, [line]).check()


def test_what_has_no_effect_is_noted_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "main"
    path.write_text("RDomain none\nProtocol 2\nLogVerbose kex.c\nMatch all\nRDomain %D\n")
    options = read_server_config(str(path), ["", "# nothing"])
    options.check()
    assert options.notes == [
        f"{path}:2: Protocol has no meaning any more",
        f"{path}:3: LogVerbose has no effect: it names OpenSSH's own source files; LogLevel does the rest",
        f"{path}:5: RDomain has no effect: {WITHOUT_EFFECT['rdomain'].reason}",
    ]


def test_names_of_hosts_need_usedns(tmp_path: Path) -> None:
    path = tmp_path / "main"
    path.write_text("DenyUsers a@host.example b@192.0.2.*\nMatch all\nAllowUsers c@other.example\n")
    with pytest.raises(ConfigErrors) as caught:
        read_server_config(str(path)).check()
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:1: DenyUsers: 'host.example': names of hosts are not looked up")
    assert second.startswith(f"{path}:3: AllowUsers: 'other.example'")
    read_server_config(str(path), ["UseDNS yes"]).check()


def test_algorithms_of_a_block_are_looked_at_before_anybody_comes(tmp_path: Path) -> None:
    path = tmp_path / "main"
    path.write_text(
        "Match all\nPubkeyAcceptedAlgorithms ssh-ed25519,nosuch\nCASignatureAlgorithms ssh-ed25519\n"
        "HostbasedAcceptedAlgorithms -ssh-rsa\n"
    )
    with pytest.raises(ConfigErrors) as caught:
        read_server_config(str(path)).check()
    assert re.match(
        f"{path}:2: PubkeyAcceptedAlgorithms: unknown algorithm 'nosuch'; there are", str(caught.value)
    )
    assert len(caught.value.errors) == 1


# Blocks.


def banner(folder: Path, host: str) -> str | None:
    options = read_server_config(str(folder / "main"))
    options.check()
    return options.for_connection(MatchFacts("test", host, "127.0.0.1")).banner.value


#: OpenSSH's own test of files in blocks (regress/servcfginclude.sh), in its order.
FILES = {
    "main": """
Match host a
  Banner /aa
Match host b
  Banner /bb
  Include {folder}/i.*
Match host c
  Include {folder}/i.*
  Banner /cc
Match host m
  Include {folder}/i.*
Match Host d
  Banner /dd
Match Host e
  Banner /ee
  Include {folder}/i.*
Match Host f
  Include {folder}/i.*
  Banner /ff
Match Host n
  Include {folder}/i.*
""",
    "i.0": "Match host xxxxxx\n",
    "i.1": "".join(f"Match host {name}\n Banner /{name * 3}\n" for name in "abcdef"),
    "i.2": "".join(f"Match host {name}\n Banner /{name * 4}\n" for name in "abcdef")
    + "Match all\n Banner /xxxx\n",
}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("a", "/aa"),
        ("b", "/bb"),
        ("c", "/ccc"),
        ("d", "/dd"),
        ("e", "/ee"),
        ("f", "/fff"),
        ("m", "/xxxx"),
        ("n", "/xxxx"),
        ("x", None),
    ],
)
def test_files_in_blocks_hold_where_the_block_and_their_own_blocks_hold(
    tmp_path: Path, host: str, expected: str | None
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text.format(folder=tmp_path))
    assert banner(tmp_path, host=host) == expected


def test_a_block_of_a_file_ends_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "main").write_text(f"Include {tmp_path}/i\nBanner /aa\n")
    (tmp_path / "i").write_text("Match host x\n")
    assert banner(tmp_path, host="a") == "/aa"


def test_a_block_of_an_included_file_counts_before_those_that_follow(tmp_path: Path) -> None:
    (tmp_path / "main").write_text(f"Banner /xx\nInclude {tmp_path}/i\nMatch host a\nBanner /aaaa\n")
    (tmp_path / "i").write_text("Match host a\nBanner /aa\n")
    assert banner(tmp_path, host="a") == "/aa"
    assert banner(tmp_path, host="b") == "/xx"


def test_mistakes_in_files_of_a_block_are_found(tmp_path: Path) -> None:
    (tmp_path / "main").write_text(f"Match host a\nMatch nonsense x\nInclude {tmp_path}/i\n")
    (tmp_path / "i").write_text("Junk\nMatch user\nPort 1\n")
    options = read_server_config(str(tmp_path / "main"))
    places = [str(error).partition(": ")[0].rpartition("/")[2] for error in options.errors]
    assert places == ["main:2", "i:1", "i:2", "i:3"]
    assert not options.has_blocks


def test_without_blocks_nothing_is_made_for_a_connection(tmp_path: Path) -> None:
    options = read_server_config(None, ["Banner /x"])
    assert not options.needs_facts()
    assert options.for_connection(MatchFacts()) is options
    (tmp_path / "main").write_text("Banner /x\nMatch user nobody\n\nMatch all\n")
    assert not read_server_config(str(tmp_path / "main")).has_blocks
