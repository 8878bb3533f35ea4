"""ssh_config: blocks, includes, the first value wins, and what is not done yet."""

import re
from pathlib import Path

import pytest

from sshkit.config.client_keywords import ALIASES, KEYWORDS, LISTS
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.client_values import AgentAdding
from sshkit.config.forwards import DYNAMIC, LOCAL, REMOTE, Endpoint, Forward
from sshkit.config.parser import ConfigError, parse_line
from sshkit.config.ssh_config import ConfigFile, expand_hostname, load_client_options
from sshkit.config.tokens import Facts
from sshkit.config.values import RekeyLimit
from sshkit.config.without_effect import GONE, NOTE, SAY, WITHOUT_EFFECT

#: Every keyword of ssh_config(5) of OpenSSH 10.0.
OPENSSH = """
AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CanonicalDomains
CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs
CASignatureAlgorithms CertificateFile ChannelTimeout CheckHostIP Ciphers ClearAllForwardings Compression
ConnectionAttempts ConnectTimeout ControlMaster ControlPath ControlPersist DynamicForward
EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash
ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts
GlobalKnownHostsFile GSSAPIAuthentication GSSAPIDelegateCredentials HashKnownHosts
HostbasedAcceptedAlgorithms HostbasedAuthentication HostKeyAlgorithms HostKeyAlias Hostname
IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown IPQoS KbdInteractiveAuthentication
KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose MACs
NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming PasswordAuthentication
PermitLocalCommand PermitRemoteOpen PKCS11Provider Port PreferredAuthentications ProxyCommand ProxyJump
ProxyUseFdpass PubkeyAcceptedAlgorithms PubkeyAuthentication RefuseConnection RekeyLimit RemoteCommand
RemoteForward RequestTTY RequiredRSASize RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax
ServerAliveInterval SessionType SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink
StrictHostKeyChecking SyslogFacility Tag TCPKeepAlive Tunnel TunnelDevice UpdateHostKeys User
UserKnownHostsFile VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation
"""


def load(
    folder: Path, text: str, host: str = "h", lines: tuple[tuple[str, str], ...] = (), **options: bool
) -> ClientOptions:
    path = folder / "config"
    path.write_text(text)
    path.chmod(0o600)
    facts = Facts(str(folder), "me", 1000, "box.example", {"SET": "s"})
    settings = [command_line(keyword, rest) for keyword, rest in lines]
    return load_client_options(host, facts, settings, [ConfigFile(str(path), str(folder), **options)])


def test_the_first_value_wins_and_knows_its_place(tmp_path: Path) -> None:
    options = load(tmp_path, "Port 1\nPort 2\nUser=a\nHost other\n User b\n Compression yes\n")
    assert (options.port.value, str(options.port.place)) == (1, f"{tmp_path}/config:1")
    assert (options.user.value, options.user.place.line) == ("a", 3)
    assert options.compression.is_default


def test_the_command_line_comes_before_all_files(tmp_path: Path) -> None:
    options = load(tmp_path, "Port 1\n", lines=(("Port", "22"), ("Port", "23")))
    assert (options.port.value, str(options.port.place)) == (22, "command line")


@pytest.mark.parametrize("word", ["Host", "Match", "Include"])
def test_blocks_have_no_place_on_the_command_line(tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError, match=r"command line: .*no place here"):
        load(tmp_path, "", lines=((word, "x"),))


@pytest.mark.parametrize(
    ("block", "host", "matches"),
    [
        ("Host h", "h", True),
        ("Host *.example", "h", False),
        ("Host *.example h", "h", True),
        ("Host * !h", "h", False),
        ("Match all", "h", True),
        ("Match host h", "h", True),
        ("Match host=h,x", "H", True),
        ("Match !host h", "h", False),
        ("Match originalhost x", "h", False),
        ("Match originalhost h", "h", True),
        ("Match user me", "h", True),
        ("Match user root,you", "h", False),
        ("Match localuser me", "h", True),
        ("Match host h user you", "h", False),
        ("Match host x exec true", "h", False),
        ("Match final", "h", True),
        ("Match canonical all", "h", False),
        ("Match final all", "h", True),
        ("Match !final", "h", True),
        ("Match canonical", "h", False),
    ],
)
def test_a_block_counts_for_the_hosts_that_it_names(
    tmp_path: Path, block: str, host: str, matches: bool
) -> None:
    options = load(tmp_path, f"{block}\n Port 99\n", host)
    assert (options.port.value == 99) is matches


def test_match_host_sees_the_name_that_hostname_made(tmp_path: Path) -> None:
    text = "Hostname %h.example\nMatch host h.example\n Port 5\nMatch originalhost h\n User u\n"
    options = load(tmp_path, text)
    assert (options.port.value, options.user.value) == (5, "u")
    assert expand_hostname(options, "h") == "h.example"


def test_match_final_sees_what_comes_after_it(tmp_path: Path) -> None:
    options = load(tmp_path, "Match final host b.example\n Port 7\nMatch all\n Hostname b.example\n")
    assert options.port.value == 7


@pytest.mark.parametrize(
    "line",
    ["Match", "Match host", "Match all host h", "Match !all", "Match host h all", "Match colour red", "Host"],
)
def test_a_block_that_makes_no_sense_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path))}/config:1: "):
        load(tmp_path, line)


@pytest.mark.parametrize(
    ("criteria", "matches"),
    [
        ("tagged work", True),
        ("tagged home", False),
        ('command "rsync *,git*"', True),
        ("command scp", False),
        ("sessiontype exec", True),
        ("sessiontype shell,none", False),
        ("version sshkit*", True),
        ("version OpenSSH*", False),
        ("localnetwork 192.0.2.0/24", True),
        ("localnetwork 198.51.100.0/24,2001:db8::/32", True),
        ("localnetwork !192.0.2.7/32,192.0.2.0/24", False),
        ("localnetwork 10.0.0.0/8", False),
        ('exec "test %h = h"', True),
        ('exec "test %h = other"', False),
        ("!exec false", True),
    ],
)
def test_match_looks_at_what_surrounds_the_connection(tmp_path: Path, criteria: str, matches: bool) -> None:
    asked = {"test h = h": True, "test h = other": False, "false": False}
    facts = Facts(
        str(tmp_path),
        "me",
        1000,
        "box",
        {},
        command="rsync --server",
        version="sshkit_1",
        run_command=asked.__getitem__,
        local_addresses=lambda: ["192.0.2.7", "2001:db8::1"],
    )
    (tmp_path / "config").write_text(f"Tag work\nMatch {criteria}\n Port 99\n")
    options = load_client_options("h", facts, files=[ConfigFile(f"{tmp_path}/config", "/")])
    assert (options.port.value == 99) is matches


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ("SessionType none", "none"),
        ("SessionType subsystem", "subsystem"),
        ("RemoteCommand ls", "exec"),
        ("", "shell"),
    ],
)
def test_match_sessiontype_knows_what_is_started(tmp_path: Path, settings: str, kind: str) -> None:
    assert load(tmp_path, f"{settings}\nMatch sessiontype {kind}\n Port 99\n").port.value == 99


def test_match_tagged_with_nothing_is_for_connections_without_a_tag(tmp_path: Path) -> None:
    assert load(tmp_path, 'Match tagged ""\n Port 99\n').port.value == 99
    assert load(tmp_path, 'Tag x\nMatch tagged ""\n Port 99\n').port.is_default


def test_a_network_that_is_none_and_a_command_where_none_is_run_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config:1: Match localnetwork: 'house' is not a network"):
        load(tmp_path, "Match localnetwork house\n")
    with pytest.raises(ConfigError, match="config:1: Match exec has no place here"):
        load(tmp_path, "Match exec true\n")


@pytest.mark.parametrize(
    ("text", "found", "port"),
    [
        ("CanonicalizeHostname yes", "h.example.com", 7),
        ("CanonicalizeHostname yes\nProxyJump x", "h.example.com", 22),
        ("CanonicalizeHostname always\nProxyCommand x", "h.example.com", 7),
        ("CanonicalizeHostname yes", None, 22),
        ("", "h.example.com", 22),
    ],
)
def test_a_canonical_name_has_the_files_read_again(
    tmp_path: Path, text: str, found: str | None, port: int
) -> None:
    facts = Facts(str(tmp_path), "me", 1000, "box", {}, canonicalize=lambda name, options: found)
    (tmp_path / "config").write_text(f"{text}\nHost *.example.com\n Port 7\nMatch canonical\n User again\n")
    options = load_client_options("h", facts, files=[ConfigFile(f"{tmp_path}/config", "/")])
    assert options.port.value == port
    assert expand_hostname(options, "h") == ("h.example.com" if port == 7 else "h")
    if found is None:
        assert options.user.value == "again"


def test_an_include_is_read_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("Host h\n Port 3\n")
    (tmp_path / "b.conf").write_text("User included\n")
    text = f"Include *.conf {tmp_path}/none* ~/b.conf\nHost other\n Include b.conf\nHost *\n User late\n"
    options = load(tmp_path, text)
    assert (options.port.value, options.port.place.path) == (3, f"{tmp_path}/a.conf")
    assert (options.user.value, options.user.place.path) == ("included", f"{tmp_path}/b.conf")


def test_an_include_within_a_block_about_other_hosts_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("Host *\n Port 3\nMatch all\n User x\n")
    options = load(tmp_path, "Host other\n Include a.conf\n Compression yes\nHost h\n Compression no\n")
    assert options.port.is_default
    assert options.user.is_default
    assert options.compression.place.line == 5


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="files within files"):
        load(tmp_path, "Include config\n")


def test_a_missing_file_is_nothing_unless_it_was_asked_for(tmp_path: Path) -> None:
    facts = Facts(str(tmp_path), "me", 1000, "box", {})
    missing = str(tmp_path / "none")
    assert load_client_options("h", facts, files=[ConfigFile(missing, "/")]).port.is_default
    with pytest.raises(ConfigError, match="none: the file does not exist"):
        load_client_options("h", facts, files=[ConfigFile(missing, "/", required=True)])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = Facts(str(tmp_path), "me", 1000, "box", {})
    options = load_client_options("h", facts, files=[ConfigFile(f"{tmp_path}/file/below", "/")])
    assert options.notes == [(NOTE, f"{tmp_path}/file/below: Not a directory")]
    with pytest.raises(ConfigError, match="Is a directory"):
        load_client_options("h", facts, files=[ConfigFile(str(tmp_path), "/")])


def test_the_users_file_is_refused_where_others_may_write_it(tmp_path: Path) -> None:
    assert load(tmp_path, "Port 5\n", guarded=True).port.value == 5
    path = tmp_path / "config"
    path.chmod(0o666)
    facts = Facts(str(tmp_path), "me", 1000, "box", {})
    with pytest.raises(ConfigError, match="others may write it"):
        load_client_options("h", facts, files=[ConfigFile(str(path), "/", guarded=True)])


def test_an_unknown_keyword_is_an_error_with_its_place_in_any_block(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config:2: unknown keyword 'Prot'"):
        load(tmp_path, "Host other\nProt 22\n")


def test_ignore_unknown_is_obeyed(tmp_path: Path) -> None:
    options = load(tmp_path, "IgnoreUnknown Use*,prot\nProt 22\nUseKeychain yes\n")
    assert [kind for kind, _ in options.notes] == [NOTE, NOTE]
    with pytest.raises(ConfigError, match="Other"):
        load(tmp_path, "IgnoreUnknown Use*\nOther 1\n")


def test_every_keyword_of_openssh_is_known_and_in_one_table_only() -> None:
    tables = [set(KEYWORDS), set(LISTS), set(WITHOUT_EFFECT), set(GONE), set(ALIASES)]
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names))
    assert set(OPENSSH.lower().split()) <= set(names)
    defaults = ClientOptions()
    assert all(getattr(defaults, keyword.attribute).is_default for keyword in KEYWORDS.values())
    assert set(ALIASES.values()) <= set(KEYWORDS)


def test_what_has_no_effect_is_noted_once_and_what_one_would_miss_is_said(tmp_path: Path) -> None:
    text = "Match final\nMatch all\nLogVerbose x\nPKCS11Provider /lib/x.so\nProtocol 2\n"
    assert [(kind, text.split(": ")[1]) for kind, text in load(tmp_path, text).notes] == [
        (NOTE, "LogVerbose has no effect"),
        (SAY, "PKCS11Provider has no effect"),
        (NOTE, "Protocol has no meaning any more"),
    ]
    assert load(tmp_path, "Host other\nLogVerbose x\nProtocol 2\n").notes == []
    assert load(tmp_path, "PKCS11Provider none\n").notes == []
    with pytest.raises(ConfigError, match="missing argument for LogVerbose"):
        load(tmp_path, "LogVerbose\n")


def test_forwards_are_kept_in_their_order_and_once(tmp_path: Path) -> None:
    text = "LocalForward 1 h:2\nRemoteForward 3\nDynamicForward [::1]:4\nLocalForward 1:h:2\n"
    text += "LocalForward /a /b\n"
    options = load(tmp_path, text)
    assert [setting.value for setting in options.forwards] == [
        Forward(LOCAL, Endpoint(None, 1), Endpoint("h", 2)),
        Forward(REMOTE, Endpoint(None, 3), None),
        Forward(DYNAMIC, Endpoint("::1", 4), None),
        Forward(LOCAL, Endpoint(None, 0, "/a"), Endpoint(None, 0, "/b")),
    ]
    assert [setting.place.line for setting in options.forwards] == [1, 2, 3, 5]
    assert load(tmp_path, "Host other\nLocalForward 1 h:2\n").forwards == []
    shown = [(word, value) for word, value, _ in options.items() if word.endswith("forward")]
    assert shown == [
        ("localforward", "1 [h]:2"),
        ("remoteforward", "3"),
        ("dynamicforward", "[::1]:4"),
        ("localforward", "/a /b"),
    ]


def test_of_a_proxy_command_and_a_jump_the_first_counts(tmp_path: Path) -> None:
    options = load(tmp_path, "ProxyCommand nc %h %p\nProxyJump a\n")
    assert (options.proxy_command.value, options.proxy_jump.is_default) == ("nc %h %p", True)
    options = load(tmp_path, "ProxyJump a,me@b:2\nProxyCommand nc\n")
    assert (options.proxy_jump.value, options.proxy_command.is_default) == (("a", "me@b:2"), True)
    assert load(tmp_path, "ProxyJump none\nProxyJump a\n").proxy_jump.value == ()


def test_refuse_connection_refuses_with_its_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="config:1: refused: use the new host"):
        load(tmp_path, "RefuseConnection use the new host\n")
    assert load(tmp_path, "Host other\n RefuseConnection no\n").port.is_default


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("AddressFamily inet6", "address_family", "inet6"),
        ("BatchMode yes", "batch_mode", True),
        ("BindAddress ::1", "bind_address", "::1"),
        ("ChallengeResponseAuthentication no", "interactive_authentication", False),
        ("Ciphers aes128-ctr", "ciphers", "aes128-ctr"),
        ("ConnectTimeout 1m", "connect_timeout", 60),
        ("EscapeChar none", "escape_char", None),
        ("EscapeChar ^]", "escape_char", 29),
        ("EscapeChar %", "escape_char", 37),
        ("FingerprintHash md5", "fingerprint_hash", "md5"),
        ("GlobalKnownHostsFile /a /b", "global_known_hosts", ("/a", "/b")),
        ("UserKnownHostsFile none", "user_known_hosts", ()),
        ("NumberOfPasswordPrompts 1", "password_prompts", 1),
        (
            "PreferredAuthentications password,publickey",
            "preferred_authentications",
            ("password", "publickey"),
        ),
        ("PubkeyAcceptedKeyTypes ssh-*", "user_key_algorithms", "ssh-*"),
        ("PubkeyAuthentication unbound", "public_key_authentication", "unbound"),
        ("PubkeyAuthentication true", "public_key_authentication", "yes"),
        ("AddKeysToAgent ask", "add_keys_to_agent", AgentAdding("ask")),
        ("AddKeysToAgent no", "add_keys_to_agent", AgentAdding()),
        ("AddKeysToAgent confirm", "add_keys_to_agent", AgentAdding("yes", True)),
        ("AddKeysToAgent confirm 1h", "add_keys_to_agent", AgentAdding("yes", True, 3600)),
        ("AddKeysToAgent 90", "add_keys_to_agent", AgentAdding("yes", False, 90)),
        ("BindInterface lo", "bind_interface", "lo"),
        ("CanonicalDomains .a.example B.example.", "canonical_domains", ("a.example", "b.example")),
        ("CanonicalDomains none", "canonical_domains", ()),
        ("CanonicalizeHostname always", "canonicalize_hostname", "always"),
        (
            "CanonicalizePermittedCNAMEs *.A:*.b,c x:y",
            "canonicalize_permitted_cnames",
            (("*.a", "*.b,c"), ("x", "y")),
        ),
        ("ChannelTimeout session=5m *=1h", "channel_timeouts", (("session", 300), ("*", 3600))),
        ("ControlMaster autoask", "control_master", "autoask"),
        ("ControlPath none", "control_path", None),
        ("ControlPath ~/.ssh/%C", "control_path", "~/.ssh/%C"),
        ("ControlPersist yes", "control_persist", 0),
        ("ControlPersist no", "control_persist", None),
        ("ControlPersist 10m", "control_persist", 600),
        ("ForwardAgent no", "forward_agent", None),
        ("ForwardAgent yes", "forward_agent", "yes"),
        ("ForwardAgent $AGENT", "forward_agent", "$AGENT"),
        ("IPQoS af21", "ip_qos", (0x48, 0x48)),
        ("IPQoS ef none", "ip_qos", (0xB8, None)),
        ("IPQoS 0x10 8", "ip_qos", (0x10, 8)),
        ("ObscureKeystrokeTiming no", "obscure_keystroke_timing", 0),
        ("ObscureKeystrokeTiming yes", "obscure_keystroke_timing", 20),
        ("ObscureKeystrokeTiming interval:80", "obscure_keystroke_timing", 80),
        ("PermitRemoteOpen any", "permit_remote_open", None),
        ("PermitRemoteOpen none", "permit_remote_open", ()),
        (
            "PermitRemoteOpen h:22 [::1]:*",
            "permit_remote_open",
            (Endpoint("h", 22), Endpoint("::1", 0)),
        ),
        ("ProxyCommand none", "proxy_command", None),
        ("RequiredRSASize 4096", "required_rsa_size", 4096),
        ("RevokedHostKeys /etc/krl", "revoked_host_keys", "/etc/krl"),
        ("StreamLocalBindMask 0117", "stream_local_bind_mask", 0o117),
        ("SyslogFacility LOCAL3", "syslog_facility", "local3"),
        ("Tunnel ethernet", "tunnel", "ethernet"),
        ("Tunnel true", "tunnel", "yes"),
        ("TunnelDevice 3", "tunnel_device", (3, None)),
        ("TunnelDevice any:4", "tunnel_device", (None, 4)),
        ("UpdateHostKeys ask", "update_host_keys", "ask"),
        ("VerifyHostKeyDNS yes", "verify_host_key_dns", "yes"),
        ("VersionAddendum none", "version_addendum", None),
        ("WarnWeakCrypto no-pq-kex", "warn_weak_crypto", True),
        ("RekeyLimit 1G 1h", "rekey_limit", RekeyLimit(1 << 30, 3600)),
        ('RemoteCommand echo "a  b" # c', "remote_command", 'echo "a  b" # c'),
        ("RemoteCommand none", "remote_command", None),
        ("RequestTTY force", "request_tty", "force"),
        ("RequestTTY true", "request_tty", "yes"),
        ("SessionType subsystem", "session_type", "subsystem"),
        ('SetEnv A=1 "B=2 3" A=4', "set_env", ("A=1", "B=2 3")),
        ("StrictHostKeyChecking yes", "strict_host_key_checking", "strict"),
        ("StrictHostKeyChecking off", "strict_host_key_checking", "off"),
        ("StrictHostKeyChecking accept-new", "strict_host_key_checking", "accept-new"),
        ("LogLevel VERBOSE", "log_level", 4),
    ],
)
def test_each_keyword_has_its_type(tmp_path: Path, line: str, name: str, value: object) -> None:
    assert getattr(load(tmp_path, line), name).value == value


@pytest.mark.parametrize(
    "line",
    [
        "Port 0",
        "Port 65536",
        "Port x",
        "AddressFamily ipv4",
        "EscapeChar ab",
        "EscapeChar ^1",
        "EscapeChar \u00e9",
        "PreferredAuthentications password,magic",
        "RemoteCommand",
        "SetEnv A",
        "SetEnv =1",
        "SendEnv A=1",
        "SendEnv -",
        "UserKnownHostsFile none /a",
        "StrictHostKeyChecking maybe",
        "AddKeysToAgent yes yes",
        "AddKeysToAgent sometimes",
        "CanonicalDomains a*",
        "CanonicalizePermittedCNAMEs a",
        "CanonicalizePermittedCNAMEs a:b:c",
        "ChannelTimeout session",
        "ChannelTimeout session=x",
        "ConnectionAttempts 0",
        "ControlPersist x",
        "DynamicForward 1 2",
        "DynamicForward 1:h:2",
        "IPQoS fast",
        "IPQoS 256",
        "IPQoS ef ef ef",
        "LocalForward 1",
        "LocalForward 1 h:2 3",
        "ObscureKeystrokeTiming interval:0",
        "ObscureKeystrokeTiming often",
        "PermitRemoteOpen h",
        "PermitRemoteOpen h:x",
        "ProxyCommand",
        "ProxyJump a,,b",
        'ProxyJump "a b"',
        "RemoteForward x",
        "StreamLocalBindMask 8",
        "TunnelDevice x",
        "TunnelDevice 1:2:3",
    ],
)
def test_a_wrong_value_is_an_error_even_in_a_block_about_other_hosts(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match="config:2: "):
        load(tmp_path, f"Host other\n{line}\n")


def test_identity_files_and_variables_add_up(tmp_path: Path) -> None:
    text = "IdentityFile a\nIdentityFile b\nIdentityFile a\nSendEnv LANG LC_* X\nSendEnv -LC*\n"
    text += "Host o\nSendEnv -*\nIdentityFile z\n"
    options = load(tmp_path, text)
    assert [setting.value for setting in options.identity_files] == ["a", "b"]
    assert [setting.value for setting in options.send_env] == ["LANG", "X"]
    rows = {(keyword, str(value)) for keyword, value, _ in options.items()}
    assert {("identityfile", "a"), ("identityfile", "b"), ("sendenv", "LANG"), ("port", "22")} <= rows


@pytest.mark.parametrize(("text", "name"), [("%h.a", "h.a"), ("x%%y", "x%y"), ("FIX", "fix")])
def test_hostname_knows_two_tokens(tmp_path: Path, text: str, name: str) -> None:
    assert expand_hostname(load(tmp_path, f"Hostname {text}\n"), "h") == name
    assert expand_hostname(load(tmp_path, ""), "H") == "h"
    with pytest.raises(ConfigError, match="config:1: Hostname"):
        expand_hostname(load(tmp_path, "Hostname %p\n"), "h")


def test_a_line_of_dash_o_is_read_like_one_of_a_file() -> None:
    options = ClientOptions()
    line = parse_line("Port=77", command_line("", "").place)
    assert line is not None
    assert options.obey(line, True)
    assert options.port.value == 77
