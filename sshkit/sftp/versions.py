"""Which version of SFTP two sides speak, and what a server says of itself beside it.

A client asks for the highest that it wants, a server answers with the lower of that and its own; where
that is none of the client's, it may pick another from the server's list (draft-ietf-secsh-filexfer-13
section 5.5).  `Session` and `SFTPServer` call this where anything but version 3 is in question.
"""

from collections.abc import Iterable

KNOWN = (3, 4, 5, 6)
SELECT = "version-select"
#: How version 4 to 6 are called in the extension `versions`.
OFFER = "versions"


def checked(versions: "Iterable[int]") -> tuple[int, ...]:
    """Return the versions that a client may speak, lowest first; ValueError for others than 3 to 6."""
    wanted = tuple(sorted(set(versions)))
    if not wanted or any(version not in KNOWN for version in wanted):
        raise ValueError(f"versions {wanted}: SFTP has {', '.join(map(str, KNOWN))}")
    return wanted


def agreed(wanted: tuple[int, ...], told: int) -> int:
    """Return the version for a server that says `told`; 0: it is none of ours.

    A server that says more than it was asked for is taken to speak what it was asked for.
    """
    told = min(told, wanted[-1])
    return told if told in wanted else 0


def to_select(wanted: tuple[int, ...], extensions: dict[str, bytes]) -> int:
    """Return the best version of the server's list that is ours; 0 where there is none."""
    listed = extensions.get(OFFER, b"").split(b",")
    return max((version for version in wanted if b"%d" % version in listed), default=0)
