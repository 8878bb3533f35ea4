"""What a server answers to an SFTP client that does a bit of everything."""

from collections.abc import Iterator

from sshkit_keys.errors import SSHKitError

from sshkit.sftp import messages as m
from sshkit.sftp.client import SFTPClient
from tests.fuzz.targets.keyless import calm, check_ending
from tests.fuzz.targets.pieces import pieces
from tests.sftp.client.world import FakeServer, Memory


class Liar(FakeServer):
    """Answers from the input while there is one: 0, bytes as they are; 1, as it should; else in a frame.

    A frame bears the number of what was asked, and the byte is its kind.
    """

    def __init__(self, told: Iterator[bytes]) -> None:
        super().__init__(self.lie)
        self.told = told
        self.files[b"/f"] = bytearray(b"contents")
        self.folders.add(b"/d")

    def lie(self, kind: int, number: int, payload: bytes) -> bytes | None:
        piece = next(self.told, b"\1")
        if not piece or piece[0] == 1:
            return None
        if piece[0] == 0:
            return piece[1:]
        return m.frame(piece[:1] + (b"" if kind == m.INIT else number.to_bytes(4, "big")) + piece[1:])


async def everything(client: SFTPClient) -> None:
    """Do a bit of everything."""
    calls = (
        lambda: client.stat("/f"),
        lambda: client.read_bytes("/f"),
        lambda: client.listdir("/"),
        lambda: client.write_bytes("/g", b"new"),
        lambda: client.readlink("/l"),
        lambda: client.statvfs("/"),
        lambda: client.rmtree("/d"),
    )
    for call in calls:
        try:
            await call()
        except (SSHKitError, TimeoutError) as error:
            check_ending(error)


def parse(data: bytes) -> None:
    with calm():
        try:
            Memory(Liar(pieces(data))).run(everything)
        except TimeoutError:
            pass  # who says nothing is waited for, and not for ever
