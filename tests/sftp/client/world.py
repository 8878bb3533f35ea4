"""What tests of the SFTP client begin with: a small server in memory that can be made to lie."""

import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.packets import PacketReader
from sshkit.testing import MemoryPair, MemoryReactor, connect_in_memory

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
SERVERS = {
    "9.2": "/usr/lib/openssh/sftp-server",
    "10.0": str(ROOT / ".peers/openssh-backports/usr/lib/openssh/sftp-server"),
}
LIMITS = (262144, 261120, 261120, 100)
EXTENSIONS = {"posix-rename@openssh.com": b"1", "limits@openssh.com": b"1"}
Twist = Callable[[int, int, bytes], "bytes | list[bytes] | None"]


class FakeServer:
    """Files in a dictionary, directories in a set.  `twist(kind, id, payload)` may answer in its place."""

    def __init__(self, twist: Twist | None = None, extensions: dict[str, bytes] | None = None) -> None:
        self.files: dict[bytes, bytearray] = {}
        self.folders: set[bytes] = {b"/"}
        self.twist = twist
        self.extensions = EXTENSIONS if extensions is None else extensions
        self.handles: dict[bytes, Any] = {}
        self.requests: list[int] = []
        self.most = 1 << 30  #: bytes that one READ gives at most
        self.version = 3
        self.transport: Any = None
        self.number = 0
        self.reader = PacketReader(self.packet)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.reader.feed(memoryview(data))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        pass

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def packet(self, kind: int, view: memoryview) -> None:
        payload = bytes(view)
        self.requests.append(kind)
        number = 0 if kind == m.INIT else int.from_bytes(payload[1:5], "big")
        answer = self.twist(kind, number, payload) if self.twist is not None else None
        if answer is None:
            answer = self.answer(kind, number, payload)
        for packet in answer if isinstance(answer, list) else [answer]:
            self.transport.write(packet)

    def answer(self, kind: int, number: int, payload: bytes) -> bytes:
        if kind == m.INIT:
            return m.frame(m.Version(self.version, m.pack_extensions(self.extensions)).encode())
        record = m.REQUESTS[kind].decode(payload)
        try:
            return self.do(record)
        except KeyError:
            return m.pack_status(number, status.NO_SUCH_FILE, b"No such file")

    def attributes(self, path: bytes) -> Attributes:
        if path in self.folders:
            return Attributes(4096, 0, 0, 0o040755, 1, 2)
        return Attributes(len(self.files[path]), 0, 0, 0o100644, 1, 2)

    def do(self, record: Any) -> bytes:
        number = record.id
        if isinstance(record, m.Open):
            if record.flags & m.CREATE:
                data = self.files.setdefault(record.path, bytearray())
                if record.flags & m.TRUNCATE:
                    data.clear()
            self.attributes(record.path)
            return self.handle(number, record.path)
        if isinstance(record, m.OpenDir):
            base = record.path.rstrip(b"/") + b"/"
            names = [n for n in (*self.files, *self.folders) if n.rpartition(b"/")[0] + b"/" == base]
            entries = [(n.rpartition(b"/")[2], b"-", self.attributes(n)) for n in sorted(names) if n != b"/"]
            if record.path not in self.folders:
                raise KeyError
            return self.handle(number, [entries[at : at + 3] for at in range(0, len(entries), 3)])
        if isinstance(record, m.ReadDir):
            batches = self.handles[record.handle]
            return m.pack_names(number, batches.pop(0)) if batches else m.pack_status(number, status.EOF)
        if isinstance(record, m.Read):
            size = min(record.size, self.most)
            data = bytes(self.files[self.handles[record.handle]][record.offset : record.offset + size])
            return m.pack_string(m.DATA, number, data) if data else m.pack_status(number, status.EOF)
        if isinstance(record, m.Write):
            data = self.files[self.handles[record.handle]]
            end = record.offset + len(record.data)
            data.extend(bytes(max(0, end - len(data))))
            data[record.offset : end] = record.data
        elif isinstance(record, (m.Stat, m.LStat)):
            return m.pack_attrs(number, self.attributes(record.path))
        elif isinstance(record, m.FStat):
            return m.pack_attrs(number, self.attributes(self.handles[record.handle]))
        elif isinstance(record, m.Close):
            del self.handles[record.handle]
        elif isinstance(record, m.Remove):
            del self.files[record.path]
        elif isinstance(record, m.MkDir):
            self.folders.add(record.path)
        elif isinstance(record, m.RealPath):
            return m.pack_names(number, [(record.path, b"", Attributes())])
        elif isinstance(record, m.Rename):
            self.files[record.target] = self.files.pop(record.source)
        elif isinstance(record, m.Extended):
            return self.extended(number, record)
        elif not isinstance(record, (m.SetStat, m.FSetStat)):
            return m.pack_status(number, status.OP_UNSUPPORTED)
        return m.pack_status(number, status.OK)

    def extended(self, number: int, record: m.Extended) -> bytes:
        if record.name == b"limits@openssh.com":
            body = b"".join(value.to_bytes(8, "big") for value in LIMITS)
            return m.frame(m.ExtendedReply(number, body).encode())
        if record.name == b"posix-rename@openssh.com":
            size = int.from_bytes(record.body[:4], "big")
            self.files[record.body[8 + size :]] = self.files.pop(record.body[4 : 4 + size])
            return m.pack_status(number, status.OK)
        return m.pack_status(number, status.OP_UNSUPPORTED)

    def handle(self, number: int, what: Any) -> bytes:
        self.number += 1
        name = f"h{self.number}".encode()
        self.handles[name] = what
        return m.pack_string(m.HANDLE, number, name)


class Memory:
    """A client and a FakeServer in one process, with a time of their own."""

    def __init__(self, server: FakeServer | None = None, **options: Any) -> None:
        self.network = MemoryReactor()
        self.server = FakeServer() if server is None else server
        self.options = options
        self.pair: MemoryPair | None = None

    def connect(self) -> SFTPClient:
        """Return a client whose `ready` is to come."""
        client = SFTPClient.over(
            self.network,
            defer_to_thread=self.network.defer_to_thread,
            random_bytes=random.Random(1).randbytes,
            **self.options,
        )
        self.pair = connect_in_memory(client.session, self.server, self.network)
        self.network.pairs.append(self.pair)
        return client

    def run(self, main: Callable[[SFTPClient], Awaitable[T]]) -> T:
        """Run `main` with a client; no request may be left without an answer, no handle open."""

        async def body() -> T:
            client = self.connect()
            async with client.ready as sftp:
                return await main(sftp)

        return self.network.run(body())


def contents(size: int) -> bytes:
    """Return bytes without a period."""
    return random.Random(size).randbytes(size)


def names_below(folder: "str | os.PathLike[str]") -> list[str]:
    """Return all names of a local tree, hidden ones too."""
    return sorted(
        os.path.relpath(os.path.join(at, name), folder)
        for at, ds, fs in os.walk(folder)
        for name in (*ds, *fs)
    )
