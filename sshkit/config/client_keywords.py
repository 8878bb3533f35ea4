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


class Listed(NamedTuple):
    """A keyword each of whose lines adds something."""

    spelled: str
    add: "Callable[[ClientOptions, Line, bool], None]"


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
        Keyword("AddKeysToAgent", "add_keys_to_agent", _agent_adding),
        Keyword("AddressFamily", "address_family", _one_of("any", "inet", "inet6")),
        Keyword("BatchMode", "batch_mode", flag),
        Keyword("BindAddress", "bind_address", _text),
        Keyword("BindInterface", "bind_interface", _text),
        Keyword("CanonicalDomains", "canonical_domains", _domains),
        Keyword("CanonicalizeFallbackLocal", "canonicalize_fallback_local", flag),
        Keyword("CanonicalizeHostname", "canonicalize_hostname", _canonicalize),
        Keyword("CanonicalizeMaxDots", "canonicalize_max_dots", number),
        Keyword("CanonicalizePermittedCNAMEs", "canonicalize_permitted_cnames", _permitted_cnames),
        Keyword("CASignatureAlgorithms", "ca_algorithms", _text),
        Keyword("ChannelTimeout", "channel_timeouts", _channel_timeouts),
        Keyword("CheckHostIP", "check_host_ip", flag),
        Keyword("Ciphers", "ciphers", _text),
        Keyword("ClearAllForwardings", "clear_all_forwardings", flag),
        Keyword("Compression", "compression", flag),
        Keyword("ConnectionAttempts", "connection_attempts", _attempts),
        Keyword("ConnectTimeout", "connect_timeout", time),
        Keyword("ControlMaster", "control_master", _one_of("yes", "no", "ask", "auto", "autoask")),
        Keyword("ControlPath", "control_path", _optional),
        Keyword("ControlPersist", "control_persist", _persist),
        Keyword("EnableEscapeCommandline", "enable_escape_commandline", flag),
        Keyword("EnableSSHKeysign", "enable_keysign", flag),
        Keyword("EscapeChar", "escape_char", _escape_char),
        Keyword("ExitOnForwardFailure", "exit_on_forward_failure", flag),
        Keyword("FingerprintHash", "fingerprint_hash", _one_of("sha256", "md5")),
        Keyword("ForkAfterAuthentication", "fork_after_authentication", flag),
        Keyword("ForwardAgent", "forward_agent", _forward_agent),
        Keyword("ForwardX11", "forward_x11", flag),
        Keyword("ForwardX11Timeout", "forward_x11_timeout", time),
        Keyword("ForwardX11Trusted", "forward_x11_trusted", flag),
        Keyword("GatewayPorts", "gateway_ports", flag),
        Keyword("GlobalKnownHostsFile", "global_known_hosts", _words),
        Keyword("GSSAPIAuthentication", "gssapi_authentication", flag),
        Keyword("GSSAPIClientIdentity", "gssapi_client_identity", _optional),
        Keyword("GSSAPIDelegateCredentials", "gssapi_delegate_credentials", flag),
        Keyword("GSSAPIServerIdentity", "gssapi_server_identity", _optional),
        Keyword("GSSAPITrustDNS", "gssapi_trust_dns", flag),
        Keyword("HashKnownHosts", "hash_known_hosts", flag),
        Keyword("HostKeyAlgorithms", "host_key_algorithms", _text),
        Keyword("HostKeyAlias", "host_key_alias", _text),
        Keyword("HostbasedAcceptedAlgorithms", "hostbased_algorithms", _text),
        Keyword("HostbasedAuthentication", "hostbased_authentication", flag),
        Keyword("Hostname", "hostname", _text),
        Keyword("IdentitiesOnly", "identities_only", flag),
        Keyword("IdentityAgent", "identity_agent", _text),
        Keyword("IgnoreUnknown", "ignore_unknown", _text),
        Keyword("IPQoS", "ip_qos", _ip_qos),
        Keyword("KbdInteractiveAuthentication", "interactive_authentication", flag),
        Keyword("KbdInteractiveDevices", "interactive_devices", _text),
        Keyword("KexAlgorithms", "key_exchanges", _text),
        Keyword("KnownHostsCommand", "known_hosts_command", _rest),
        Keyword("LocalCommand", "local_command", _rest),
        Keyword("LogLevel", "log_level", log_level),
        Keyword("MACs", "macs", _text),
        Keyword("NoHostAuthenticationForLocalhost", "no_host_authentication_for_localhost", flag),
        Keyword("NumberOfPasswordPrompts", "password_prompts", number),
        Keyword("ObscureKeystrokeTiming", "obscure_keystroke_timing", _keystrokes),
        Keyword("PasswordAuthentication", "password_authentication", flag),
        Keyword("PermitLocalCommand", "permit_local_command", flag),
        Keyword("PermitRemoteOpen", "permit_remote_open", _permit_remote_open),
        Keyword("Port", "port", _port),
        Keyword("PreferredAuthentications", "preferred_authentications", _methods),
        Keyword("ProxyCommand", "proxy_command", _rest),
        Keyword("ProxyJump", "proxy_jump", _proxy_jump),
        Keyword("ProxyUseFdpass", "proxy_use_fdpass", flag),
        Keyword("PubkeyAcceptedAlgorithms", "user_key_algorithms", _text),
        Keyword("PubkeyAuthentication", "public_key_authentication", _public_keys),
        Keyword("RekeyLimit", "rekey_limit", rekey_limit),
        Keyword("RemoteCommand", "remote_command", _rest),
        Keyword("RequestTTY", "request_tty", _one_of("no", "yes", "force", "auto")),
        Keyword("RequiredRSASize", "required_rsa_size", number),
        Keyword("RevokedHostKeys", "revoked_host_keys", _optional),
        Keyword("ServerAliveCountMax", "server_alive_count", number),
        Keyword("ServerAliveInterval", "server_alive_interval", time),
        Keyword("SessionType", "session_type", _one_of("none", "subsystem", "default")),
        Keyword("SetEnv", "set_env", _set_env),
        Keyword("StdinNull", "stdin_null", flag),
        Keyword("StreamLocalBindMask", "stream_local_bind_mask", _mask),
        Keyword("StreamLocalBindUnlink", "stream_local_bind_unlink", flag),
        Keyword("StrictHostKeyChecking", "strict_host_key_checking", _host_key_checking),
        Keyword(
            "SyslogFacility",
            "syslog_facility",
            _one_of("daemon", "user", "auth", "authpriv", *(f"local{facility}" for facility in range(8))),
        ),
        Keyword("Tag", "tag", _text),
        Keyword("TCPKeepAlive", "tcp_keepalive", flag),
        Keyword("Tunnel", "tunnel", _one_of("yes", "no", "point-to-point", "ethernet")),
        Keyword("TunnelDevice", "tunnel_device", _tunnel_device),
        Keyword("UpdateHostKeys", "update_host_keys", _one_of("yes", "no", "ask")),
        Keyword("User", "user", _text),
        Keyword("UserKnownHostsFile", "user_known_hosts", _words),
        Keyword("VerifyHostKeyDNS", "verify_host_key_dns", _one_of("yes", "no", "ask")),
        Keyword("VersionAddendum", "version_addendum", _rest),
        Keyword("VisualHostKey", "visual_host_key", flag),
        Keyword("WarnWeakCrypto", "warn_weak_crypto", _weak_crypto),
        Keyword("XAuthLocation", "xauth_location", _text),
    )
}

#: Keywords that add to a list.
LISTS: dict[str, Listed] = {
    listed.spelled.lower(): listed
    for listed in (
        Listed("CertificateFile", _certificate_file),
        Listed("DynamicForward", _forward(DYNAMIC)),
        Listed("IdentityFile", _identity_file),
        Listed("LocalForward", _forward(LOCAL)),
        Listed("RefuseConnection", _refuse),
        Listed("RemoteForward", _forward(REMOTE)),
        Listed("SendEnv", _send_env),
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
