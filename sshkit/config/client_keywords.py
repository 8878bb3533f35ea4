"""What each keyword of ssh_config(5) means: the attribute it sets, and what reads its value.

Called by `client_options` and, for the table of keywords, by the documentation.  Every keyword of OpenSSH 10
is here, in `without_effect`, or opens a block (Host, Match, Include) and so belongs to `ssh_config`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.text import printable, quoted

from . import client_values as read
from .forwards import DYNAMIC, LOCAL, REMOTE, Forward, InvalidForward, parse_forward
from .parser import Line, Setting
from .values import flag, log_level, number, rekey_limit, time

if TYPE_CHECKING:
    from .client_options import ClientOptions


class Keyword(NamedTuple):
    """A keyword whose first value counts."""

    spelled: str
    attribute: str
    read: Callable[[Line], Any]
    meaning: str  #: for the documentation


class Listed(NamedTuple):
    """A keyword each of whose lines adds something."""

    spelled: str
    add: "Callable[[ClientOptions, Line, bool], None]"
    meaning: str


# Lists.


def _send_env(options: "ClientOptions", line: Line, active: bool) -> None:
    """Add patterns of names; one with ``-`` in front takes away what it matches."""
    from .patterns import matches_glob

    for word in line.some():
        if "=" in word or not word.removeprefix("-"):
            line.fail(f"{line.spelled}: {quoted(word)} is not a name of a variable")
        if not active:
            continue
        if word.startswith("-"):
            options.send_env = [kept for kept in options.send_env if not matches_glob(word[1:], kept.value)]
        else:
            options.send_env.append(Setting(word, line.place))


def _identity_file(options: "ClientOptions", line: Line, active: bool) -> None:
    _add_path(options.identity_files, line, active)


def _certificate_file(options: "ClientOptions", line: Line, active: bool) -> None:
    _add_path(options.certificate_files, line, active)


def _add_path(paths: list[Setting[str]], line: Line, active: bool) -> None:
    path = line.one()
    if active and all(path != known.value for known in paths):
        paths.append(Setting(path, line.place))


def _forward(kind: str) -> "Callable[[ClientOptions, Line, bool], None]":
    def add(options: "ClientOptions", line: Line, active: bool) -> None:
        words = line.some()
        if len(words) > (1 if kind == DYNAMIC else 2):
            line.fail(f"too many arguments for {line.spelled}")
        try:
            forward = parse_forward(":".join(words), kind)
        except InvalidForward as error:
            line.fail(f"{line.spelled}: {error}")
        if active:
            add_forward(options, forward, line)

    return add


def add_forward(options: "ClientOptions", forward: Forward, line: Line) -> None:
    """Add a forward, once."""
    if all(forward != known.value for known in options.forwards):
        options.forwards.append(Setting(forward, line.place))


def _refuse(options: "ClientOptions", line: Line, active: bool) -> None:
    """End: the user's configuration does not want this connection."""
    if active:
        line.fail(f"refused: {printable(' '.join(line.some()))}")


#: Keyword in lower case -> attribute, and what reads its value.  The first value of a keyword wins.
KEYWORDS: dict[str, Keyword] = {
    keyword.spelled.lower(): keyword
    for keyword in (
        Keyword(
            "AddKeysToAgent",
            "add_keys_to_agent",
            read.agent_adding,
            "keys read from files go into the agent that is used, for a time or with a question if asked",
        ),
        Keyword(
            "AddressFamily",
            "address_family",
            read.one_of("any", "inet", "inet6"),
            "which addresses to connect to",
        ),
        Keyword(
            "BatchMode",
            "batch_mode",
            flag,
            "ask nothing: no passwords, no passphrases, unknown host keys are refused",
        ),
        Keyword("BindAddress", "bind_address", read.text, "the address to connect from"),
        Keyword(
            "BindInterface",
            "bind_interface",
            read.text,
            "the interface to connect from: its first address that fits",
        ),
        Keyword(
            "CanonicalDomains",
            "canonical_domains",
            read.domains,
            "domains in which a short name is looked up",
        ),
        Keyword(
            "CanonicalizeFallbackLocal",
            "canonicalize_fallback_local",
            flag,
            "go on with the name as it is where no domain has it",
        ),
        Keyword(
            "CanonicalizeHostname",
            "canonicalize_hostname",
            read.canonicalize,
            "look short names up in CanonicalDomains; the files are then read again for the whole name",
        ),
        Keyword(
            "CanonicalizeMaxDots", "canonicalize_max_dots", number, "names with more dots are not looked up"
        ),
        Keyword(
            "CanonicalizePermittedCNAMEs",
            "canonicalize_permitted_cnames",
            read.permitted_cnames,
            "aliases that are followed: `names:names`",
        ),
        Keyword(
            "CASignatureAlgorithms",
            "ca_algorithms",
            read.text,
            "signatures of authorities that vouch for hosts",
        ),
        Keyword(
            "ChannelTimeout",
            "channel_timeouts",
            read.channel_timeouts,
            "channels on which nothing happened so long are closed: `kind=time`",
        ),
        Keyword(
            "CheckHostIP",
            "check_host_ip",
            flag,
            "known_hosts must not contradict for the numeric address either",
        ),
        Keyword("Ciphers", "ciphers", read.text, "list, or `+`, `-`, `^` and what changes in it"),
        Keyword(
            "ClearAllForwardings",
            "clear_all_forwardings",
            flag,
            "none of the forwards of files and command line",
        ),
        Keyword("Compression", "compression", flag, "compress, once logged in"),
        Keyword(
            "ConnectionAttempts", "connection_attempts", read.attempts, "tries to connect, a second apart"
        ),
        Keyword(
            "ConnectTimeout",
            "connect_timeout",
            time,
            "seconds to connect and to hear the server's identification",
        ),
        Keyword(
            "ControlMaster",
            "control_master",
            read.one_of("yes", "no", "ask", "auto", "autoask"),
            "share this connection with later clients (ControlPath)",
        ),
        Keyword(
            "ControlPath",
            "control_path",
            read.optional,
            "the socket by which connections are shared; tokens as `%C`",
        ),
        Keyword(
            "ControlPersist",
            "control_persist",
            read.persist,
            "a shared connection stays when its first session has ended",
        ),
        Keyword("EnableEscapeCommandline", "enable_escape_commandline", flag, "`~C` opens a command line"),
        Keyword("EnableSSHKeysign", "enable_keysign", flag, "hostbased logins may use ssh-keysign"),
        Keyword(
            "EscapeChar",
            "escape_char",
            read.escape_char,
            "the character before `.`, `?` and their like; `none`",
        ),
        Keyword("ExitOnForwardFailure", "exit_on_forward_failure", flag, "end where a forward cannot be had"),
        Keyword(
            "FingerprintHash", "fingerprint_hash", read.one_of("sha256", "md5"), "how fingerprints are shown"
        ),
        Keyword(
            "ForkAfterAuthentication",
            "fork_after_authentication",
            flag,
            "go into the background after the login (`-f`)",
        ),
        Keyword(
            "ForwardAgent",
            "forward_agent",
            read.forward_agent,
            "programs there may use the agent here: `yes`, a socket, or a variable that names one",
        ),
        Keyword("ForwardX11", "forward_x11", flag, "programs there may use the display here"),
        Keyword(
            "ForwardX11Timeout",
            "forward_x11_timeout",
            time,
            "untrusted programs may connect to the display so long",
        ),
        Keyword(
            "ForwardX11Trusted",
            "forward_x11_trusted",
            flag,
            "programs there may do all that programs here may with the display",
        ),
        Keyword(
            "GatewayPorts",
            "gateway_ports",
            flag,
            "forwards without an address listen on all addresses, not on loopback only",
        ),
        Keyword("GlobalKnownHostsFile", "global_known_hosts", read.words, "the system's known hosts"),
        Keyword(
            "GSSAPIAuthentication",
            "gssapi_authentication",
            flag,
            "log in by Kerberos and its like (extra `gssapi`)",
        ),
        Keyword("GSSAPIClientIdentity", "gssapi_client_identity", read.optional, "whose credentials to use"),
        Keyword(
            "GSSAPIDelegateCredentials",
            "gssapi_delegate_credentials",
            flag,
            "hand the credentials on to the server",
        ),
        Keyword(
            "GSSAPIServerIdentity",
            "gssapi_server_identity",
            read.optional,
            "the name that the server's credentials must have",
        ),
        Keyword("GSSAPITrustDNS", "gssapi_trust_dns", flag, "ask for credentials of the canonical name"),
        Keyword("HashKnownHosts", "hash_known_hosts", flag, "write names hashed into known_hosts"),
        Keyword(
            "HostKeyAlgorithms",
            "host_key_algorithms",
            read.text,
            "list, or what changes in it; by default keys that are known come first",
        ),
        Keyword("HostKeyAlias", "host_key_alias", read.text, "the name to look for in known_hosts"),
        Keyword(
            "HostbasedAcceptedAlgorithms", "hostbased_algorithms", read.text, "algorithms of hostbased logins"
        ),
        Keyword("HostbasedAuthentication", "hostbased_authentication", flag, "log in by this host's key"),
        Keyword(
            "Hostname",
            "hostname",
            read.text,
            "the name or address to connect to; `%h` is the name that was typed",
        ),
        Keyword("IdentitiesOnly", "identities_only", flag, "of an agent's keys only those that are named"),
        Keyword(
            "IdentityAgent",
            "identity_agent",
            read.text,
            "the agent's socket; `none`, `SSH_AUTH_SOCK`, `$VARIABLE`",
        ),
        Keyword("IgnoreUnknown", "ignore_unknown", read.text, "patterns of keywords that may be unknown"),
        Keyword("IPQoS", "ip_qos", read.ip_qos, "class of service of interactive sessions and of the rest"),
        Keyword(
            "KbdInteractiveAuthentication", "interactive_authentication", flag, "answer a server's questions"
        ),
        Keyword(
            "KbdInteractiveDevices", "interactive_devices", read.text, "which kinds of questions to prefer"
        ),
        Keyword("KexAlgorithms", "key_exchanges", read.text, "list, or what changes in it"),
        Keyword(
            "KnownHostsCommand",
            "known_hosts_command",
            read.rest_of_line,
            "a command that prints lines of known_hosts; tokens `%C %H %I %K %t` and more",
        ),
        Keyword(
            "LocalCommand",
            "local_command",
            read.rest_of_line,
            "run here after the login, where PermitLocalCommand is yes",
        ),
        Keyword("LogLevel", "log_level", log_level, "how much to say"),
        Keyword("MACs", "macs", read.text, "list, or what changes in it"),
        Keyword(
            "NoHostAuthenticationForLocalhost",
            "no_host_authentication_for_localhost",
            flag,
            "any host key will do for this very machine",
        ),
        Keyword("NumberOfPasswordPrompts", "password_prompts", number, "how often to ask"),
        Keyword(
            "ObscureKeystrokeTiming",
            "obscure_keystroke_timing",
            read.keystrokes,
            "send what is typed at a steady pace: `interval:MILLISECONDS`",
        ),
        Keyword("PasswordAuthentication", "password_authentication", flag, "log in by password"),
        Keyword("PermitLocalCommand", "permit_local_command", flag, "LocalCommand and `~C`'s `!` may run"),
        Keyword(
            "PermitRemoteOpen",
            "permit_remote_open",
            read.permit_remote_open,
            "where a remote SOCKS forward may connect to",
        ),
        Keyword("Port", "port", read.port, "the port to connect to"),
        Keyword(
            "PreferredAuthentications",
            "preferred_authentications",
            read.methods,
            "methods, in the order to try",
        ),
        Keyword(
            "ProxyCommand",
            "proxy_command",
            read.rest_of_line,
            "the connection is this command's input and output",
        ),
        Keyword("ProxyJump", "proxy_jump", read.proxy_jump, "hosts to go through, in one process"),
        Keyword("ProxyUseFdpass", "proxy_use_fdpass", flag, "ProxyCommand hands over a descriptor and ends"),
        Keyword(
            "PubkeyAcceptedAlgorithms",
            "user_key_algorithms",
            read.text,
            "list of signatures to log in with, or what changes in it",
        ),
        Keyword(
            "PubkeyAuthentication",
            "public_key_authentication",
            read.public_keys,
            "log in by keys; `unbound` without the host's key in what is signed",
        ),
        Keyword("RekeyLimit", "rekey_limit", rekey_limit, "bytes, and time, after which new keys are made"),
        Keyword("RemoteCommand", "remote_command", read.rest_of_line, "what to run where nothing was typed"),
        Keyword(
            "RequestTTY", "request_tty", read.one_of("no", "yes", "force", "auto"), "ask for a terminal there"
        ),
        Keyword(
            "RequiredRSASize",
            "required_rsa_size",
            number,
            "smaller RSA keys, of host or user, are refused; 2048 at least",
        ),
        Keyword(
            "RevokedHostKeys",
            "revoked_host_keys",
            read.optional,
            "keys that no host may have: a list or a KRL",
        ),
        Keyword(
            "ServerAliveCountMax",
            "server_alive_count",
            number,
            "questions without an answer, then the connection is given up",
        ),
        Keyword(
            "ServerAliveInterval",
            "server_alive_interval",
            time,
            "seconds of silence after which the server is asked",
        ),
        Keyword(
            "SessionType",
            "session_type",
            read.one_of("none", "subsystem", "default"),
            "`none` (`-N`), `subsystem` (`-s`) or `default`",
        ),
        Keyword("SetEnv", "set_env", read.set_env, "variables to send: `NAME=VALUE`"),
        Keyword("StdinNull", "stdin_null", flag, "standard input is empty (`-n`)"),
        Keyword(
            "StreamLocalBindMask",
            "stream_local_bind_mask",
            read.mask,
            "permissions that sockets of forwards lack",
        ),
        Keyword(
            "StreamLocalBindUnlink",
            "stream_local_bind_unlink",
            flag,
            "remove a socket that lies where one is to be made",
        ),
        Keyword(
            "StrictHostKeyChecking",
            "strict_host_key_checking",
            read.host_key_checking,
            "unknown host keys: refuse, ask, take; changed ones never pass but with `no`",
        ),
        Keyword(
            "SyslogFacility", "syslog_facility", read.one_of(*read.FACILITIES), "where messages go with `-y`"
        ),
        Keyword("Tag", "tag", read.text, "a word for `Match tagged`"),
        Keyword("TCPKeepAlive", "tcp_keepalive", flag, "let the kernel ask whether the other side is there"),
        Keyword(
            "Tunnel",
            "tunnel",
            read.one_of("yes", "no", "point-to-point", "ethernet"),
            "forward packets by a tun device (`-w`)",
        ),
        Keyword("TunnelDevice", "tunnel_device", read.tunnel_device, "numbers of the devices here and there"),
        Keyword(
            "UpdateHostKeys",
            "update_host_keys",
            read.one_of("yes", "no", "ask"),
            "take further keys that a server proves to have into known_hosts",
        ),
        Keyword("User", "user", read.text, "the name to log in as"),
        Keyword(
            "UserKnownHostsFile",
            "user_known_hosts",
            read.words,
            "the user's known hosts; the first is written to",
        ),
        Keyword(
            "VerifyHostKeyDNS",
            "verify_host_key_dns",
            read.one_of("yes", "no", "ask"),
            "look for SSHFP records",
        ),
        Keyword(
            "VersionAddendum",
            "version_addendum",
            read.rest_of_line,
            "text behind our name in the identification",
        ),
        Keyword("VisualHostKey", "visual_host_key", flag, "draw the host key"),
        Keyword(
            "WarnWeakCrypto",
            "warn_weak_crypto",
            read.weak_crypto,
            "warn of a connection that a quantum computer could read later",
        ),
        Keyword("XAuthLocation", "xauth_location", read.text, "the program xauth"),
    )
}

#: Keywords that add to a list.
LISTS: dict[str, Listed] = {
    listed.spelled.lower(): listed
    for listed in (
        Listed("CertificateFile", _certificate_file, "certificates to offer with their keys"),
        Listed("DynamicForward", _forward(DYNAMIC), "a SOCKS forward: listen here"),
        Listed("IdentityFile", _identity_file, "keys to offer"),
        Listed("LocalForward", _forward(LOCAL), "listen here, connect there"),
        Listed("RefuseConnection", _refuse, "end with this text"),
        Listed(
            "RemoteForward", _forward(REMOTE), "listen there, connect here; without a destination by SOCKS"
        ),
        Listed("SendEnv", _send_env, "patterns of variables to send; `-` in front takes away"),
    )
}

#: Attributes of which only the one that was set first counts.
RIVALS = {"proxy_command": "proxy_jump", "proxy_jump": "proxy_command"}

#: Names that OpenSSH has from earlier times.
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "hostbasedkeytypes": "hostbasedacceptedalgorithms",
    "keepalive": "tcpkeepalive",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "skeyauthentication": "kbdinteractiveauthentication",
    "tisauthentication": "kbdinteractiveauthentication",
}
