"""users-groups-by-id@openssh.com: names for numbers of owners (PROTOCOL of OpenSSH, section 4.12)."""

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from sshkit_keys import wire
from sshkit_keys.errors import WireError
from sshkit_keys.wire import WireReader

from sshkit.sftp.server_requests import READS, Asked

if TYPE_CHECKING:
    from sshkit.sftp.server import SFTPServer

#: Numbers of one request; each may have to be looked up, and the names must fit one answer.
MAX_NUMBERS = 1024
_U32 = Struct(">I")


def handle(server: "SFTPServer", number: int, reader: WireReader) -> None:
    """Answer with two strings that hold strings: a name for each number, empty where there is none."""
    users, groups = _numbers(reader.view("users")), _numbers(reader.view("groups"))
    reader.finish("users-groups-by-id")
    backend = server.backend

    def look_up() -> bytes:
        return wire.string(_names(users, backend.user_name)) + wire.string(_names(groups, backend.group_name))

    server.do_apart(Asked("users-groups-by-id", READS, number), server.send_reply, look_up)


def _numbers(packed: memoryview) -> list[int]:
    if len(packed) % 4 or len(packed) // 4 > MAX_NUMBERS:
        raise WireError(f"{len(packed)} bytes of numbers")
    return [number for (number,) in _U32.iter_unpack(packed)]


def _names(numbers: list[int], name_of: Callable[[int], str | None]) -> bytes:
    return b"".join(
        wire.string((name_of(number) or "").encode("utf-8", "surrogateescape")) for number in numbers
    )
