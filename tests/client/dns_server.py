"""A small name server on loopback that answers as a test wants, over UDP and TCP, in threads of its own."""

import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

AUTHENTIC, TRUNCATED = 0x20, 0x200


def name(text: str) -> bytes:
    labels = [part.encode() for part in text.split(".") if part]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def record(owner: str | bytes, kind: int, data: bytes, group: int = 1) -> bytes:
    raw = owner if isinstance(owner, bytes) else name(owner)
    return raw + struct.pack(">HHIH", kind, group, 60, len(data)) + data


def answer(question: bytes, *records: bytes, flags: int = 0, code: int = 0) -> bytes:
    """Return an answer to a question, with its name and type repeated."""
    end = question.index(b"\0", 12) + 5
    header = question[:2] + struct.pack(">HHHHH", 0x8180 | flags | code, 1, len(records), 0, 0)
    return header + question[12:end] + b"".join(records)


class NameServer:
    """`udp` and `tcp` map a question to datagrams, or to a stream's bytes (None: silence)."""

    def __init__(self, udp: Callable[[bytes], Any], tcp: Callable[[bytes], bytes] | None = None) -> None:
        self.udp = udp
        self.tcp = tcp
        self.questions: list[bytes] = []
        while True:  # until a port is free for both
            self._streams = socket.create_server(("127.0.0.1", 0))
            self.address = self._streams.getsockname()
            self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self._datagrams.bind(self.address)
                break
            except OSError:
                self._datagrams.close()
                self._streams.close()
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]

    def __enter__(self) -> "NameServer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._datagrams.sendto(b"", self.address)
        with socket.create_connection(self.address):
            pass
        for thread in self._threads:
            thread.join()
        self._datagrams.close()
        self._streams.close()

    def _serve_udp(self) -> None:
        while True:
            question, peer = self._datagrams.recvfrom(65535)
            if not question:
                return
            self.questions.append(question)
            for datagram in self.udp(question) or ():
                self._datagrams.sendto(datagram, peer)

    def _serve_tcp(self) -> None:
        while True:
            stream, _ = self._streams.accept()
            with stream:
                size = stream.recv(2, socket.MSG_WAITALL)
                if len(size) < 2:
                    return
                question = stream.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
                assert self.tcp is not None
                stream.sendall(self.tcp(question))
