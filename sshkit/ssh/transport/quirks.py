"""What living peers get wrong, by the identification they send: a table, each line with its reason.

A line is here only where somebody of ours acts on it; who that is stands beside the quirk.  Our KEXINIT
leaves together with our identification, before the peer's is known, so no quirk can change what is offered.
Faults that only meet what is never offered here (SSH-1, DSA, SHA-1 signatures, requests for groups in the
form before RFC 4419) have no line.
"""

from enum import Flag, auto
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple


class Quirk(Flag):
    """What a peer cannot do, and who here makes up for it."""

    NONE = 0
    #: Fails at groups of more than 4096 bits: `Exchange` asks for no larger one.
    SMALL_GROUPS = auto()
    #: Ends the connection at hostkeys-00@openssh.com: a server of ours does not announce its keys.
    NO_HOST_KEYS_REQUEST = auto()
    #: Leaves RSA with SHA-2 out of server-sig-algs and takes it all the same: such a key is worth a try.
    RSA_SHA2_UNLISTED = auto()
    #: Refuses RSA with SHA-2 in the signature of a certificate's owner: its plain key is offered instead.
    NO_RSA_SHA2_CERTIFICATES = auto()
    #: Ends the connection at DEBUG messages; nothing here sends any, and nothing may begin to.
    NO_DEBUG = auto()


class Line(NamedTuple):
    """Which peers, what they do, and why that is known."""

    patterns: tuple[str, ...]  #: of the software version, the third part of the identification
    quirks: Quirk
    reason: str


#: The first line that fits counts.
QUIRKS: tuple[Line, ...] = (
    Line(
        ("OpenSSH_7.4*",),
        Quirk.RSA_SHA2_UNLISTED | Quirk.NO_RSA_SHA2_CERTIFICATES,
        "RHEL 7 and its kin: server-sig-algs of 7.4 lacks what it does take (bz#2680); certificates as below",
    ),
    Line(
        tuple(f"OpenSSH_7.{minor}*" for minor in (2, 3, 5, 6, 7)),
        Quirk.NO_RSA_SHA2_CERTIFICATES,
        "Debian 9, Ubuntu 18.04: before 7.8 a certificate's owner could sign with SHA-1 only (release notes)",
    ),
    Line(
        ("Cisco-1.*",),
        Quirk.SMALL_GROUPS | Quirk.NO_HOST_KEYS_REQUEST,
        "IOS and its relatives: a large group is answered with a disconnect, an unknown global request too",
    ),
    Line(
        ("TTSSH/2.[1-6]*", "TTSSH/2.7[0-2]*", "TTSSH/1.5*"),
        Quirk.NO_HOST_KEYS_REQUEST,
        "Tera Term to 4.92: a request that it does not know ends the connection",
    ),
    Line(
        ("Twisted_*",),
        Quirk.NONE,
        "Conch as it is today; its elder, which cannot stand DEBUG, names itself without the underscore",
    ),
    Line(("Twisted*",), Quirk.NO_DEBUG, "Conch before 8.0"),
)

_LONGEST = 255  #: an identification is not longer (RFC 4253 section 4.2)


@lru_cache(64)
def quirks_of(identification: bytes) -> Quirk:
    """Return what the peer with this identification (``SSH-2.0-software comments``) gets wrong."""
    _, _, software = identification[:_LONGEST].decode("ascii", "replace").partition("SSH-")[2].partition("-")
    for line in QUIRKS:
        if any(fnmatchcase(software, pattern) for pattern in line.patterns):
            return line.quirks
    return Quirk.NONE
