"""Hosts that vouch for users of the system: HostbasedAuthentication of sshkit-server (sshd(8), .rhosts).

`SystemLogin` asks, after the host's signature was verified.  The host's key has to be in the system's or the
user's known hosts, its name has to lead to where the client comes from, and a line of a file has to let its
user in.  Files of the user's are read with his rights, and count only where nobody else could write them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import KeyFileError
from sshkit_keys.text import printable, quoted

from sshkit.deferred import maybe_deferred
from sshkit.server.host_logins import find_addresses, key_fault, lets_in, look_up
from sshkit.server.in_child import in_child
from sshkit.server.privileges import acting_as
from sshkit.server.users import Refusal

if TYPE_CHECKING:
    from sshkit_keys import KnownHosts, PublicKey

    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.server.accounts import Account

MAX_KNOWN_HOSTS = 16 << 20  #: bytes of one file
USER_KNOWN_HOSTS = ".ssh/known_hosts"


class HostRules(NamedTuple):
    """What the configuration says."""

    ignore_rhosts: str = "yes"  #: IgnoreRhosts: "yes", "no" or "shosts-only"
    ignore_user_known_hosts: bool = False
    name_from_packet_only: bool = False  #: HostbasedUsesNameFromPacketOnly: addresses are not looked at
    strict_modes: bool = True
    known_hosts: tuple[str, ...] = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
    equivalents: tuple[str, ...] = ("/etc/hosts.equiv", "/etc/ssh/shosts.equiv")


def check_host(
    account: "Account",
    rules: HostRules,
    key: "PublicKey",
    host: str,
    local_user: str,
    source: str,
    resolve: Callable[[str], Any] = find_addresses,
) -> Any:
    """Return True or a Refusal, or a Deferred of either; the `host` is the name that it gives itself.

    `resolve` maps a name to addresses, now or later; the monitor has `addresses_in_child`.
    """
    described = f"{quoted(local_user)} of {printable(host)}"
    reasons: list[str] = []
    fault = key_fault(_known_hosts(account, rules, reasons), key, host)
    names = (host,) if rules.name_from_packet_only else (host, source)
    # Both are looked at in any case: the work tells nothing (R9).
    let_in = any(list(_answers(account, rules, names, local_user, reasons)))
    if not fault and not let_in:
        fault = f"no line lets him in as {printable(account.name)}"
    verdict = Refusal(f"{described}: {'; '.join((fault, *reasons))}") if fault else True
    if rules.name_from_packet_only:
        return verdict

    def compare(addresses: Sequence[str]) -> "bool | Refusal":
        if not verdict or source in addresses:
            return verdict
        return Refusal(f"{described}: the name does not lead to {printable(source)}")

    return maybe_deferred(resolve, host).add_callback(compare)


def addresses_in_child(reactor: "Reactor", host: str) -> "Deferred[list[str]]":
    """Ask the system for a host's addresses, without a thread: for the monitor, which forks."""
    asked = in_child(reactor, lambda: "\n".join(look_up(host)).encode(), name="the look-up of a name")
    return asked.add_callback(lambda data: data.decode().split())


def _known_hosts(account: "Account", rules: HostRules, reasons: list[str]) -> "KnownHosts":
    from sshkit_keys import KnownHosts
    from sshkit_keys.authorized_keys import open_users_file

    known = KnownHosts()
    for path in rules.known_hosts:
        try:
            with open_users_file(path, None, None) as file:
                known.parse(file.read(MAX_KNOWN_HOSTS), path)
        except (OSError, KeyFileError) as error:
            _note(reasons, path, error)
    if not rules.ignore_user_known_hosts:
        path = f"{account.home}/{USER_KNOWN_HOSTS}"
        try:
            with acting_as(account), open_users_file(path, *_owner(account, rules)) as file:
                known.parse(file.read(MAX_KNOWN_HOSTS), path)
        except (OSError, KeyFileError) as error:
            _note(reasons, path, error)
    return known


def _answers(
    account: "Account", rules: HostRules, names: Sequence[str], local_user: str, reasons: list[str]
) -> Iterator[bool]:
    """Yield what each file says."""
    if account.uid and account.name == local_user:  # root is let in by his own files only
        for path in rules.equivalents:
            try:
                yield lets_in(path, names, local_user, account.name)
            except (OSError, KeyFileError) as error:  # of reading, not of who takes the answer
                _note(reasons, path, error)
    own = {"yes": (), "shosts-only": (".shosts",)}.get(rules.ignore_rhosts, (".shosts", ".rhosts"))
    for name in own:
        path = f"{account.home}/{name}"
        try:
            with acting_as(account):
                answer = lets_in(path, names, local_user, account.name, *_owner(account, rules))
        except (OSError, KeyFileError) as error:
            _note(reasons, path, error)
        else:
            yield answer


def _owner(account: "Account", rules: HostRules) -> "tuple[int, str] | tuple[None, None]":
    return (account.uid, account.home) if rules.strict_modes else (None, None)


def _note(reasons: list[str], path: str, error: "OSError | KeyFileError") -> None:
    """Add why a file does not count; that it is missing is nothing unusual."""
    if isinstance(error, KeyFileError):
        reasons.append(str(error))
    elif not isinstance(error, FileNotFoundError):
        reasons.append(f"{printable(path)}: {error.strerror}")
