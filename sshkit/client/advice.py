"""Why a connection failed and what to change, in plain words: one place for all that is known about it.

Called by ``sshkit-client doctor``, and by programs that talk to people.
"""

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import KeyFileError
from sshkit_keys.text import printable, quoted

from sshkit.client.host_keys import HostKeyChanged, HostKeyRevoked, HostKeyUnknown
from sshkit.client.proxy import ProxyFailed
from sshkit.config.parser import ConfigError
from sshkit.reactor.errors import ConnectError, ResolveError
from sshkit.ssh.authentication.verdicts import PARTIAL, REFUSED, SKIPPED
from sshkit.ssh.errors import (
    AuthenticationFailed,
    ConnectionLost,
    DisconnectedByPeer,
    KeyExchangeFailed,
    MACMismatch,
    RemoteProtocolError,
    VersionNotSupported,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sshkit.client.target import Target


class Advice(NamedTuple):
    """Why it failed, and what may mend it."""

    why: str
    what: tuple[str, ...]


def advise(error: BaseException, target: "Target | None" = None) -> Advice:
    """Return what is known about an error of `connect` or of a command that connects."""
    for kind, explain in _TABLE:
        if isinstance(error, kind):
            return explain(error, target)
    return Advice("this is nothing that is known here", ("run again with -vvv and read what came before",))


def _config(error: BaseException, target: "Target | None") -> Advice:
    assert isinstance(error, ConfigError)
    where = "" if error.place is None else f" at {error.place}"
    return Advice(
        f"the configuration cannot be obeyed{where}: {error.cause}",
        (f"mend the line{where}", "-F none connects without any file, to compare"),
    )


def _resolve(error: BaseException, target: "Target | None") -> Advice:
    host = "" if target is None else printable(target.hostname)
    advice = [f"check the spelling of {quoted(host)}", "ask the resolver: getent ahosts " + (host or "HOST")]
    if target is not None and not target.options.hostname.is_default:
        advice.insert(0, f"the name comes from Hostname at {target.options.hostname.place}")
    return Advice("the name has no address", tuple(advice))


def _connect(error: BaseException, target: "Target | None") -> Advice:
    assert isinstance(error, ConnectError)
    port = "the port" if target is None else f"port {target.port}"
    codes = {getattr(each, "errno", None) for _, each in error.attempts}
    if errno.ECONNREFUSED in codes:
        return Advice(
            f"the host is there, and nothing listens at {port}",
            (f"is it the right port? {_port_place(target)}", "is the server running?"),
        )
    if isinstance(error, TimeoutError) or codes & {errno.ETIMEDOUT, None}:
        return Advice(
            f"nobody answered at {port}: a firewall drops the packets, or the host is down",
            ("does the host answer to ping?", "is the network the right one (VPN)?", _port_place(target)),
        )
    if codes & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return Advice(
            "there is no way to this address from here",
            ("is this machine on the network?", "-4 or -6 chooses the other kind of address"),
        )
    if codes & {errno.EADDRNOTAVAIL}:
        return Advice(
            "this machine does not have the address to connect from",
            ("look at BindAddress and BindInterface",),
        )
    return Advice(f"no connection to {port} came about", ("try the addresses one by one",))


def _port_place(target: "Target | None") -> str:
    if target is None:
        return "-p names another port"
    return f"port {target.port} comes from: {target.options.port.place}"


def _proxy(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "the way to the host did not come about, the host itself was never asked",
        ("try the host or command on the way by itself", "-J none connects without it"),
    )


def _unknown_key(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "the host key is in none of the known_hosts files",
        (
            "compare the fingerprint with what whoever runs the host tells you",
            "then connect with -o StrictHostKeyChecking=ask and answer yes, or with accept-new",
        ),
    )


def _changed_key(error: BaseException, target: "Target | None") -> Advice:
    assert isinstance(error, HostKeyChanged)
    places = ", ".join(printable(place, 4096) for place in error.places)
    return Advice(
        "the host shows another key than the one that is known: it was set up anew, another host has its "
        "name or address, or somebody is listening in",
        (
            f"the known key is at {places}" if places else "the key is none of those that were given",
            "ask whoever runs the host before you change anything",
            f"then: sshkit-keygen -R {quoted(error.name)}" if error.name else "then name the new key",
        ),
    )


def _revoked_key(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "the key of this host was declared invalid",
        ("do not connect: ask whoever wrote the revocation for the host's new key",),
    )


def _exchange(error: BaseException, target: "Target | None") -> Advice:
    text = str(error)
    if "no common" not in text:
        return Advice(
            "the key exchange went wrong: the server makes a mistake, or somebody changes what is sent",
            ("try another method: -o KexAlgorithms=curve25519-sha256",),
        )
    keyword = next(
        (word for part, word in _NEGOTIATED if part in text),
        "KexAlgorithms, HostKeyAlgorithms, Ciphers or MACs",
    )
    return Advice(
        "server and client have no algorithm in common: the server is old, or one of them was limited",
        (
            "update the server if it is yours",
            f"if it must be: -o {keyword}=+NAME, with a NAME that the server offers (see above)",
            *_limited(target),
        ),
    )


_NEGOTIATED = (
    ("key exchange", "KexAlgorithms"),
    ("host key", "HostKeyAlgorithms"),
    ("cipher", "Ciphers"),
    ("MAC", "MACs"),
)


def _limited(target: "Target | None") -> "list[str]":
    """Return which lists were limited here, and where."""
    if target is None:
        return []
    options = target.options
    lists = (
        ("KexAlgorithms", options.key_exchanges),
        ("HostKeyAlgorithms", options.host_key_algorithms),
        ("Ciphers", options.ciphers),
        ("MACs", options.macs),
    )
    return [f"{name} is limited at {setting.place}" for name, setting in lists if not setting.is_default]


def _login(error: BaseException, target: "Target | None") -> Advice:
    assert isinstance(error, AuthenticationFailed)
    user = "the user" if target is None else quoted(target.user)
    keys = [attempt for attempt in error.trail if attempt.fingerprint]
    refused = [attempt for attempt in keys if attempt.verdict == REFUSED]
    skipped = [attempt for attempt in error.trail if attempt.verdict == SKIPPED]
    partial = [attempt for attempt in error.trail if attempt.verdict == PARTIAL]
    advice: list[str] = []
    if partial:
        wanted = ", ".join(partial[-1].next_methods) or "something else"
        advice.append(f"{partial[-1].method} was right; the server wants {wanted} as well")
    if refused:
        advice.append(
            f"the server refused {len(refused)} key(s): is the right one in ~/.ssh/authorized_keys of {user} "
            "there (sshkit-copy-id puts it in), and is that file nobody else's to write?"
        )
    elif not keys:
        advice.append("no key was offered: none of the default files is here, and no agent has one (-i FILE)")
    advice += [f"not used: {attempt}" for attempt in skipped]
    if not any(attempt.method in ("password", "keyboard-interactive") for attempt in error.trail):
        advice.append("no password was tried: the server does not take them, or BatchMode is on")
    source = "" if target is None else f" (the user comes from: {target.options.user.place})"
    advice.append(f"is {user} the right user?{source}")
    return Advice("the server is reached and known, and let nobody in", tuple(advice))


def _not_ssh(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "what listens there does not speak SSH 2",
        (f"is it the right port? {_port_place(target)}", "what does it say? curl telnet://HOST:PORT"),
    )


def _tampered(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "packets arrived changed: broken network hardware, a middlebox, or an attack",
        ("try another network",),
    )


def _disconnected(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "the server ended the connection, with the reason above",
        ("the server's log tells more (sshd: journalctl -u ssh)",),
    )


def _lost(error: BaseException, target: "Target | None") -> Advice:
    if "before it identified itself" in str(error):
        return Advice(
            "the server took the connection and closed it at once, without a word",
            (
                "too many connections at a time (MaxStartups), or this address is punished: wait a while",
                "hosts.deny, or a list of addresses that may connect",
                "or the port belongs to another service",
            ),
        )
    return Advice(
        "the connection broke", ("is the network steady?", "ServerAliveInterval=15 finds dead ones early")
    )


def _broken(error: BaseException, target: "Target | None") -> Advice:
    return Advice(
        "the server broke the protocol", ("is it the newest version? its makers want to know of this",)
    )


def _key_file(error: BaseException, target: "Target | None") -> Advice:
    return Advice("a file of keys or hosts cannot be used", ("mend the file that is named above",))


_TABLE: "Sequence[tuple[type[BaseException], Callable[[Any, Target | None], Advice]]]" = (
    (ConfigError, _config),
    (ResolveError, _resolve),
    (ConnectError, _connect),
    (ProxyFailed, _proxy),
    (HostKeyUnknown, _unknown_key),
    (HostKeyChanged, _changed_key),
    (HostKeyRevoked, _revoked_key),
    (KeyExchangeFailed, _exchange),
    (AuthenticationFailed, _login),
    (VersionNotSupported, _not_ssh),
    (MACMismatch, _tampered),
    (DisconnectedByPeer, _disconnected),
    (ConnectionLost, _lost),
    (RemoteProtocolError, _broken),
    (KeyFileError, _key_file),
)
