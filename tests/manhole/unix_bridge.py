"""``python unix_bridge.py PATH``: standard input and output joined with a UNIX socket."""

import os
import socket
import sys
import threading


def main(path: str) -> None:
    """Pass bytes both ways until the socket ends."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)

    def send() -> None:
        while data := os.read(0, 65536):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)

    threading.Thread(target=send, daemon=True).start()
    while data := sock.recv(65536):
        os.write(1, data)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
