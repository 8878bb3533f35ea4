"""The tls: kind, both ends in one process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sshkit.reactor.endpoints import client_from_string, server_from_string

from ..helpers import Echo, Recorder
from ..tls.authority import Authority, write_pair


def test_tls_endpoints_reach_each_other(run: Callable[[Any], Any], tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = write_pair(tmp_path, "server", authority.issue("localhost"))
    trust = tmp_path / "ca.pem"
    trust.write_bytes(authority.pem)

    async def main(reactor: Any) -> None:
        server = server_from_string(
            f"tls:0:interface=127.0.0.1:certificate={certificate}:key={key}:alpn=echo", reactor
        )
        for _ in range(2):  # the options are made once
            listener = await server.listen(Echo)
            client = client_from_string(
                f"tls:127.0.0.1:{listener.address[1]}:hostname=localhost:trust={trust}:alpn=echo", reactor
            )
            for _ in range(2):
                ours = await client.connect(Recorder)
                assert ours.transport.get_extra_info("alpn") == "echo"
                ours.transport.write(b"hello")
                assert await ours.bytes_received(5) == b"hello"
                ours.transport.close()
                await ours.lost
            listener.close()

    run(main)
