"""A server that speaks more than version 3 of SFTP: what it says of itself, and a client that picks another.

`SFTPServer` calls it where its `max_version` is above 3 (draft-ietf-secsh-filexfer-05 section 4.4, -13
sections 5.3 to 5.5).
"""

from typing import TYPE_CHECKING

from sshkit_keys.wire import WireReader, string, uint32, uint64

from sshkit.sftp import messages as m
from sshkit.sftp.errors import SFTPInvalidParameter, SFTPProtocolError
from sshkit.sftp.extensions import offered
from sshkit.sftp.server_requests import READS, Asked
from sshkit.sftp.versions import KNOWN, OFFER, SELECT

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer

_NO_LOCKS = (1).to_bytes(2, "big")  # the set of kinds of locks that holds but "none"


def offer(server: "SFTPServer") -> bytes:
    """Return the extensions that say what this server is."""
    version = server.dialect.version
    spoken = ",".join(str(number) for number in KNOWN if number <= server.max_version)
    parts = [string(OFFER) + string(spoken)]
    if version >= 4:
        parts.append(string("newline") + string("\n"))
        # Nobody needs to know which version of sshkit this is.
        vendor = string("sshkit") + string("sshkit") + string("") + uint64(0)
        parts.append(string("vendor-id") + string(vendor))
    if version == 5:
        parts.append(string("supported") + string(_abilities() + b"".join(map(string, offered(server)))))
    elif version == 6:
        names = offered(server)
        told = (_abilities(), _NO_LOCKS, _NO_LOCKS, uint32(0), uint32(len(names)), *map(string, names))
        parts.append(string("supported2") + string(b"".join(told)))
        parts.append(string("acl-supported") + string(uint32(0)))
    return b"".join(parts)


def _abilities() -> bytes:
    """Return masks of attributes, bits, flags and access, and how much one READ gives."""
    from sshkit.sftp.server_dialect_v4 import SETTABLE
    from sshkit.sftp.server_io import MAX_DATA
    from sshkit.sftp.server_paths_v4 import ACCESS, OPEN_FLAGS

    return b"".join(map(uint32, (SETTABLE, 0, OPEN_FLAGS, ACCESS, MAX_DATA)))


def first_request(server: "SFTPServer", payload: memoryview) -> None:
    """Take the first request of a session: it may pick another version, later ones may not."""
    if payload[0] == m.EXTENDED and len(payload) >= 5:
        reader = WireReader(payload)
        reader.position = 5
        if reader.string("extension") == SELECT.encode():
            _select(server, m.unpack_id(payload, 1)[0], reader.string("version"))
            return
    server.speak(server.dialect.version)
    server.handle(payload)


def _select(server: "SFTPServer", number: int, wanted: bytes) -> None:
    """Take `version-select`; one that is not on the list ends the session (-13 section 5.5)."""
    for version in KNOWN:
        if version <= server.max_version and wanted == b"%d" % version:
            server.speak(version)
            server.send_ok(number)
            return
    server.fail(Asked(SELECT, READS, number), SFTPInvalidParameter("A version that is not offered"))
    raise SFTPProtocolError("the client picked a version that is not offered")
