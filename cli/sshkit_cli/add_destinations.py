"""Destination constraints as people write them: "host", "user@host", "host>user@host" (ssh-add(1), -h).

Called by `add_keys`.  A host's keys and CAs are looked up in known_hosts files, so that the agent can tell
the host by what it shows.
"""

import os
from collections.abc import Sequence

from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.known_hosts import KnownHosts
from sshkit_keys.text import quoted

from sshkit.ssh.agent.destinations import Destination, Hop, HostKey

FILES = (
    "~/.ssh/known_hosts",
    "~/.ssh/known_hosts2",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
)


class DestinationError(SSHKitError):
    """A destination that names nothing, or a host that no file knows."""


def parse_destinations(texts: Sequence[str], files: Sequence[str] = ()) -> tuple[Destination, ...]:
    """Read what -h was given, with the host keys from `files` (none: the user's and the system's)."""
    if not texts:
        return ()
    paths = [os.path.expanduser(path) for path in files or FILES]
    known = KnownHosts.load([path for path in paths if files or os.path.exists(path)])
    return tuple(_parse(text, known) for text in texts)


def _parse(text: str, known: KnownHosts) -> Destination:
    first, arrow, second = text.partition(">")
    if not arrow:
        return Destination(Hop(), _hop(first, text, known))
    origin = _hop(first, text, known)
    if origin.user:
        raise DestinationError(f"invalid key constraint {quoted(text)}: cannot specify user on 'from' host")
    return Destination(origin, _hop(second, text, known))


def _hop(word: str, text: str, known: KnownHosts) -> Hop:
    user, at, host = word.partition("@")
    if not at:
        user, host = "", word
    host = host.removeprefix("[").removesuffix("]") if host.endswith("]") else host
    if not host:
        raise DestinationError(f"invalid key destination constraint {quoted(text)}: does not specify a host")
    keys: list[HostKey] = []
    if host.startswith("["):
        found_entries = [entry for entry in known.find(host) if entry.marker != "revoked"]
        pairs = [(entry, entry.marker == "cert-authority") for entry in found_entries]
    else:
        match = known.lookup(host)
        pairs = [(entry, False) for entry in match.entries] + [(entry, True) for entry in match.authorities]
    for entry, is_authority in pairs:
        try:
            keys.append(HostKey(entry.key, is_authority))
        except KeyFileError:
            continue  # of a type that is not known here: the agent could not tell it either
    if not keys:
        raise DestinationError(f"no host keys found for destination {quoted(host)}")
    return Hop(host, tuple(keys), user)
