"""What each keyword of ssh_config(5) means: the attribute it sets, and what reads its value.

Called by `client_options` and, for the table of keywords, by the documentation.  Every keyword of OpenSSH 10
is here, in `without_effect`, or opens a block (Host, Match, Include) and so belongs to `ssh_config`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sshkit_keys.text import printable, quoted

from .forwards import DYNAMIC, LOCAL, REMOTE, Endpoint, Forward, InvalidForward, parse_forward
from .parser import Line, Setting
from .service_classes import SERVICE_CLASSES
from .values import FLAGS, choice, flag, log_level, number, rekey_limit, seconds_of, time

if TYPE_CHECKING:
    from .client_options import ClientOptions

Checking = Literal["strict", "ask", "accept-new", "off"]
Terminal = Literal["no", "yes", "force", "auto"]
PublicKeys = Literal["no", "yes", "unbound", "host-bound"]

_METHODS = ("publickey", "keyboard-interactive", "password", "none", "hostbased", "gssapi-with-mic")
FACILITIES = ("daemon", "user", "auth", "authpriv", *(f"local{number}" for number in range(8)))
#: Milliseconds between two packets of somebody's typing where nothing else is said (OpenSSH's too).
KEYSTROKE_INTERVAL = 20


class AgentAdding(NamedTuple):
    """What becomes of a key that was read from a file (AddKeysToAgent)."""

    when: str = "no"  #: "no", "yes" or "ask"
    confirm: bool = False
    lifetime: int | None = None  #: seconds

    def __str__(self) -> str:
        words = ["confirm"] if self.confirm else []
        if self.lifetime is not None:
            words.append(str(self.lifetime))
        return " ".join(words) or self.when


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


# Words.


def _text(line: Line) -> str:
    return line.one()


def _optional(line: Line) -> str | None:
    word = line.one()
    return None if word.lower() == "none" else word


def _words(line: Line) -> tuple[str, ...]:
    words = line.some()
    if "none" in (word.lower() for word in words):
        if len(words) > 1:
            line.fail(f'{line.spelled}: "none" stands alone')
        return ()
    return tuple(words)


def _rest(line: Line) -> str | None:
    """Return a command: everything up to the end of the line, quotes and all."""
    text = line.rest.strip()
    if not text:
        line.fail(f"missing argument for {line.spelled}")
    return None if text.lower() == "none" else text


def _one_of(*choices: str) -> Callable[[Line], str]:
    """Return what reads one of `choices`, with true and false for yes and no."""
    table = {name: name for name in choices}
    for spelled, name in (("true", "yes"), ("false", "no")):
        if name in table:
            table[spelled] = name

    def read(line: Line) -> str:
        return choice(line, table)

    return read


def _port(line: Line) -> int:
    return number(line, 1, 65535)


def _attempts(line: Line) -> int:
    return number(line, 1)


def _mask(line: Line) -> int:
    word = line.one()
    if not word or len(word) > 4 or word.strip("01234567"):
        line.fail(f"{line.spelled}: {quoted(word)} is not an octal number up to 0777")
    return int(word, 8) & 0o777


# Login and trust.


def _host_key_checking(line: Line) -> Checking:
    choices: dict[str, Checking] = {
        "yes": "strict",
        "no": "off",
        "ask": "ask",
        "accept-new": "accept-new",
        "off": "off",
        "true": "strict",
        "false": "off",
    }
    return choice(line, choices)


def _public_keys(line: Line) -> PublicKeys:
    choices: dict[str, PublicKeys] = {
        "yes": "yes",
        "no": "no",
        "unbound": "unbound",
        "host-bound": "host-bound",
        "true": "yes",
        "false": "no",
    }
    return choice(line, choices)


def _methods(line: Line) -> tuple[str, ...]:
    names = tuple(name for name in line.one().split(",") if name)
    for name in names:
        if name not in _METHODS:
            line.fail(f"{line.spelled}: unknown method {quoted(name)}; known: {', '.join(_METHODS)}")
    return names


def _agent_adding(line: Line) -> AgentAdding:
    """Return ``yes|no|ask|confirm [TIME]|TIME``."""
    words = line.some()
    first = words[0].lower()
    if first == "confirm" and len(words) == 2:
        return AgentAdding("yes", True, seconds_of(words[1], line))
    if len(words) > 1:
        line.fail(f"more than one argument for {line.spelled}")
    if first in FLAGS:
        return AgentAdding("yes" if FLAGS[first] else "no")
    if first == "ask":
        return AgentAdding("ask")
    if first == "confirm":
        return AgentAdding("yes", True)
    return AgentAdding("yes", False, seconds_of(words[0], line))


def _forward_agent(line: Line) -> str | None:
    word = line.one()
    known = FLAGS.get(word.lower())
    return word if known is None else "yes" if known else None


def _permitted_cnames(line: Line) -> tuple[tuple[str, str], ...]:
    rules: list[tuple[str, str]] = []
    for word in _words(line):
        source, colon, target = word.partition(":")
        if not colon or not source or not target or ":" in target:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAMES:NAMES")
        rules.append((source.lower(), target.lower()))
    return tuple(rules)


def _domains(line: Line) -> tuple[str, ...]:
    domains = _words(line)
    for domain in domains:
        if not domain.strip(".") or any(char in domain for char in "*?!/:@ "):
            line.fail(f"{line.spelled}: {quoted(domain)} is not a domain")
    return tuple(domain.strip(".").lower() for domain in domains)


def _canonicalize(line: Line) -> str:
    return choice(line, {"yes": "yes", "no": "no", "true": "yes", "false": "no", "always": "always"})


def _weak_crypto(line: Line) -> bool:
    """Return whether to warn; names of single warnings may stand in place of yes."""
    return choice(line, {**FLAGS, "no-pq-kex": True})


# The session.


def _escape_char(line: Line) -> int | None:
    """Return a character's number: one character, ``^`` and a letter, or ``none``."""
    word = line.one()
    if word.lower() == "none":
        return None
    if len(word) == 2 and word[0] == "^" and 64 <= ord(word[1].upper()) < 128:
        return ord(word[1].upper()) & 31
    if len(word) != 1 or ord(word) > 127:
        line.fail(f'{line.spelled}: {quoted(word)} is not a character, "^" with a letter, or "none"')
    return ord(word)


def _keystrokes(line: Line) -> int:
    """Return milliseconds: ``yes``, ``no`` or ``interval:N``."""
    word = line.one()
    known = FLAGS.get(word.lower())
    if known is not None:
        return KEYSTROKE_INTERVAL if known else 0
    name, _, interval = word.partition(":")
    if name.lower() != "interval" or not interval.isdecimal() or not 1 <= int(interval) <= 1000:
        line.fail(f"{line.spelled}: {quoted(word)} is not yes, no, or interval:MILLISECONDS (1 to 1000)")
    return int(interval)


def _channel_timeouts(line: Line) -> tuple[tuple[str, int], ...]:
    limits: list[tuple[str, int]] = []
    for word in _words(line):
        kind, equals, text = word.partition("=")
        if not equals or not kind:
            line.fail(f"{line.spelled}: {quoted(word)} is not KIND=TIME")
        limits.append((kind, seconds_of(text, line)))
    return tuple(limits)


def _set_env(line: Line) -> tuple[str, ...]:
    names: dict[str, str] = {}
    for word in line.some():
        name, equals, _ = word.partition("=")
        if not equals or not name or "\0" in word:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAME=VALUE")
        names.setdefault(name, word)
    return tuple(names.values())


# The way there.


def _ip_qos(line: Line) -> tuple[int | None, int | None]:
    """Return the classes for sessions and for the rest; one word is both."""
    classes: list[int | None] = []
    for word in line.some():
        if word.lower() in SERVICE_CLASSES:
            classes.append(SERVICE_CLASSES[word.lower()])
        else:
            try:
                classes.append(int(word, 0))
            except ValueError:
                classes.append(-1)
            if not 0 <= (classes[-1] or 0) <= 255:
                line.fail(f"{line.spelled}: {quoted(word)} is no class of service, such as ef, af21 or none")
    if len(classes) > 2:
        line.fail(f"more than two arguments for {line.spelled}")
    return classes[0], classes[-1]


def _persist(line: Line) -> int | None:
    word = line.one()
    known = FLAGS.get(word.lower())
    if known is not None:
        return 0 if known else None
    return seconds_of(word, line)


def _proxy_jump(line: Line) -> tuple[str, ...]:
    text = _rest(line)
    if text is None:
        return ()
    hops = tuple(hop.strip() for hop in text.strip('"').split(","))
    for hop in hops:
        if not hop or any(char in hop for char in " \t'\"`$"):
            line.fail(f"{line.spelled}: {quoted(hop)} is not [user@]host[:port]")
    return hops


def _tunnel_device(line: Line) -> tuple[int | None, int | None]:
    """Return the numbers of the devices here and there; None: any."""
    word = line.one()
    numbers: list[int | None] = []
    for part in word.lower().split(":"):
        if part != "any" and (not part.isdecimal() or int(part) > 0x7FFFFFFB):
            line.fail(f"{line.spelled}: {quoted(word)} is not LOCAL[:REMOTE], with numbers or any")
        numbers.append(None if part == "any" else int(part))
    if len(numbers) > 2:
        line.fail(f"{line.spelled}: {quoted(word)} is not LOCAL[:REMOTE], with numbers or any")
    return numbers[0], numbers[1] if len(numbers) > 1 else None


def _permit_remote_open(line: Line) -> tuple[Endpoint, ...] | None:
    """Return where connections of a remote dynamic forward may go; port 0 is any; None: anywhere."""
    words = line.some()
    if len(words) == 1 and words[0].lower() in ("any", "none"):
        return None if words[0].lower() == "any" else ()
    places: list[Endpoint] = []
    for word in words:
        host, colon, port = word.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        wild = port == "*"
        if not colon or not host or not (wild or (port.isdecimal() and 1 <= int(port) <= 65535)):
            line.fail(f"{line.spelled}: {quoted(word)} is not host:port")
        places.append(Endpoint(host, 0 if wild else int(port)))
    return tuple(places)


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
            _agent_adding,
            "keys read from files go into the agent that is used, for a time or with a question if asked",
        ),
        Keyword(
            "AddressFamily",
            "address_family",
            _one_of("any", "inet", "inet6"),
            "which addresses to connect to",
        ),
        Keyword(
            "BatchMode",
            "batch_mode",
            flag,
            "ask nothing: no passwords, no passphrases, unknown host keys are refused",
        ),
        Keyword("BindAddress", "bind_address", _text, "the address to connect from"),
        Keyword(
            "BindInterface",
            "bind_interface",
            _text,
            "the interface to connect from: its first address that fits",
        ),
        Keyword(
            "CanonicalDomains", "canonical_domains", _domains, "domains in which a short name is looked up"
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
            _canonicalize,
            "look short names up in CanonicalDomains; the files are then read again for the whole name",
        ),
        Keyword(
            "CanonicalizeMaxDots", "canonicalize_max_dots", number, "names with more dots are not looked up"
        ),
        Keyword(
            "CanonicalizePermittedCNAMEs",
            "canonicalize_permitted_cnames",
            _permitted_cnames,
            "aliases that are followed: `names:names`",
        ),
        Keyword(
            "CASignatureAlgorithms", "ca_algorithms", _text, "signatures of authorities that vouch for hosts"
        ),
        Keyword(
            "ChannelTimeout",
            "channel_timeouts",
            _channel_timeouts,
            "channels on which nothing happened so long are closed: `kind=time`",
        ),
        Keyword(
            "CheckHostIP",
            "check_host_ip",
            flag,
            "known_hosts must not contradict for the numeric address either",
        ),
        Keyword("Ciphers", "ciphers", _text, "list, or `+`, `-`, `^` and what changes in it"),
        Keyword(
            "ClearAllForwardings",
            "clear_all_forwardings",
            flag,
            "none of the forwards of files and command line",
        ),
        Keyword("Compression", "compression", flag, "compress, once logged in"),
        Keyword("ConnectionAttempts", "connection_attempts", _attempts, "tries to connect, a second apart"),
        Keyword(
            "ConnectTimeout",
            "connect_timeout",
            time,
            "seconds to connect and to hear the server's identification",
        ),
        Keyword(
            "ControlMaster",
            "control_master",
            _one_of("yes", "no", "ask", "auto", "autoask"),
            "share this connection with later clients (ControlPath)",
        ),
        Keyword(
            "ControlPath",
            "control_path",
            _optional,
            "the socket by which connections are shared; tokens as `%C`",
        ),
        Keyword(
            "ControlPersist",
            "control_persist",
            _persist,
            "a shared connection stays when its first session has ended",
        ),
        Keyword("EnableEscapeCommandline", "enable_escape_commandline", flag, "`~C` opens a command line"),
        Keyword("EnableSSHKeysign", "enable_keysign", flag, "hostbased logins may use ssh-keysign"),
        Keyword(
            "EscapeChar", "escape_char", _escape_char, "the character before `.`, `?` and their like; `none`"
        ),
        Keyword("ExitOnForwardFailure", "exit_on_forward_failure", flag, "end where a forward cannot be had"),
        Keyword(
            "FingerprintHash", "fingerprint_hash", _one_of("sha256", "md5"), "how fingerprints are shown"
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
            _forward_agent,
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
        Keyword("GlobalKnownHostsFile", "global_known_hosts", _words, "the system's known hosts"),
        Keyword(
            "GSSAPIAuthentication",
            "gssapi_authentication",
            flag,
            "log in by Kerberos and its like (extra `gssapi`)",
        ),
        Keyword("GSSAPIClientIdentity", "gssapi_client_identity", _optional, "whose credentials to use"),
        Keyword(
            "GSSAPIDelegateCredentials",
            "gssapi_delegate_credentials",
            flag,
            "hand the credentials on to the server",
        ),
        Keyword(
            "GSSAPIServerIdentity",
            "gssapi_server_identity",
            _optional,
            "the name that the server's credentials must have",
        ),
        Keyword("GSSAPITrustDNS", "gssapi_trust_dns", flag, "ask for credentials of the canonical name"),
        Keyword("HashKnownHosts", "hash_known_hosts", flag, "write names hashed into known_hosts"),
        Keyword(
            "HostKeyAlgorithms",
            "host_key_algorithms",
            _text,
            "list, or what changes in it; by default keys that are known come first",
        ),
        Keyword("HostKeyAlias", "host_key_alias", _text, "the name to look for in known_hosts"),
        Keyword(
            "HostbasedAcceptedAlgorithms", "hostbased_algorithms", _text, "algorithms of hostbased logins"
        ),
        Keyword("HostbasedAuthentication", "hostbased_authentication", flag, "log in by this host's key"),
        Keyword(
            "Hostname",
            "hostname",
            _text,
            "the name or address to connect to; `%h` is the name that was typed",
        ),
        Keyword("IdentitiesOnly", "identities_only", flag, "of an agent's keys only those that are named"),
        Keyword(
            "IdentityAgent",
            "identity_agent",
            _text,
            "the agent's socket; `none`, `SSH_AUTH_SOCK`, `$VARIABLE`",
        ),
        Keyword("IgnoreUnknown", "ignore_unknown", _text, "patterns of keywords that may be unknown"),
        Keyword("IPQoS", "ip_qos", _ip_qos, "class of service of interactive sessions and of the rest"),
        Keyword(
            "KbdInteractiveAuthentication", "interactive_authentication", flag, "answer a server's questions"
        ),
        Keyword("KbdInteractiveDevices", "interactive_devices", _text, "which kinds of questions to prefer"),
        Keyword("KexAlgorithms", "key_exchanges", _text, "list, or what changes in it"),
        Keyword(
            "KnownHostsCommand",
            "known_hosts_command",
            _rest,
            "a command that prints lines of known_hosts; tokens `%C %H %I %K %t` and more",
        ),
        Keyword(
            "LocalCommand",
            "local_command",
            _rest,
            "run here after the login, where PermitLocalCommand is yes",
        ),
        Keyword("LogLevel", "log_level", log_level, "how much to say"),
        Keyword("MACs", "macs", _text, "list, or what changes in it"),
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
            _keystrokes,
            "send what is typed at a steady pace: `interval:MILLISECONDS`",
        ),
        Keyword("PasswordAuthentication", "password_authentication", flag, "log in by password"),
        Keyword("PermitLocalCommand", "permit_local_command", flag, "LocalCommand and `~C`'s `!` may run"),
        Keyword(
            "PermitRemoteOpen",
            "permit_remote_open",
            _permit_remote_open,
            "where a remote SOCKS forward may connect to",
        ),
        Keyword("Port", "port", _port, "the port to connect to"),
        Keyword(
            "PreferredAuthentications", "preferred_authentications", _methods, "methods, in the order to try"
        ),
        Keyword("ProxyCommand", "proxy_command", _rest, "the connection is this command's input and output"),
        Keyword("ProxyJump", "proxy_jump", _proxy_jump, "hosts to go through, in one process"),
        Keyword("ProxyUseFdpass", "proxy_use_fdpass", flag, "ProxyCommand hands over a descriptor and ends"),
        Keyword(
            "PubkeyAcceptedAlgorithms",
            "user_key_algorithms",
            _text,
            "list of signatures to log in with, or what changes in it",
        ),
        Keyword(
            "PubkeyAuthentication",
            "public_key_authentication",
            _public_keys,
            "log in by keys; `unbound` without the host's key in what is signed",
        ),
        Keyword("RekeyLimit", "rekey_limit", rekey_limit, "bytes, and time, after which new keys are made"),
        Keyword("RemoteCommand", "remote_command", _rest, "what to run where nothing was typed"),
        Keyword(
            "RequestTTY", "request_tty", _one_of("no", "yes", "force", "auto"), "ask for a terminal there"
        ),
        Keyword(
            "RequiredRSASize",
            "required_rsa_size",
            number,
            "smaller RSA keys, of host or user, are refused; 2048 at least",
        ),
        Keyword(
            "RevokedHostKeys", "revoked_host_keys", _optional, "keys that no host may have: a list or a KRL"
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
            _one_of("none", "subsystem", "default"),
            "`none` (`-N`), `subsystem` (`-s`) or `default`",
        ),
        Keyword("SetEnv", "set_env", _set_env, "variables to send: `NAME=VALUE`"),
        Keyword("StdinNull", "stdin_null", flag, "standard input is empty (`-n`)"),
        Keyword(
            "StreamLocalBindMask",
            "stream_local_bind_mask",
            _mask,
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
            _host_key_checking,
            "unknown host keys: refuse, ask, take; changed ones never pass but with `no`",
        ),
        Keyword("SyslogFacility", "syslog_facility", _one_of(*FACILITIES), "where messages go with `-y`"),
        Keyword("Tag", "tag", _text, "a word for `Match tagged`"),
        Keyword("TCPKeepAlive", "tcp_keepalive", flag, "let the kernel ask whether the other side is there"),
        Keyword(
            "Tunnel",
            "tunnel",
            _one_of("yes", "no", "point-to-point", "ethernet"),
            "forward packets by a tun device (`-w`)",
        ),
        Keyword("TunnelDevice", "tunnel_device", _tunnel_device, "numbers of the devices here and there"),
        Keyword(
            "UpdateHostKeys",
            "update_host_keys",
            _one_of("yes", "no", "ask"),
            "take further keys that a server proves to have into known_hosts",
        ),
        Keyword("User", "user", _text, "the name to log in as"),
        Keyword(
            "UserKnownHostsFile",
            "user_known_hosts",
            _words,
            "the user's known hosts; the first is written to",
        ),
        Keyword(
            "VerifyHostKeyDNS", "verify_host_key_dns", _one_of("yes", "no", "ask"), "look for SSHFP records"
        ),
        Keyword("VersionAddendum", "version_addendum", _rest, "text behind our name in the identification"),
        Keyword("VisualHostKey", "visual_host_key", flag, "draw the host key"),
        Keyword(
            "WarnWeakCrypto",
            "warn_weak_crypto",
            _weak_crypto,
            "warn of a connection that a quantum computer could read later",
        ),
        Keyword("XAuthLocation", "xauth_location", _text, "the program xauth"),
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
