"""sshkit-scp as the far side of the legacy protocol: ``scp -t`` takes files, ``scp -f`` sends them.

Some client's scp started it through a login shell.  It says what is wrong to that client only.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit.scp.peer import Peer
from sshkit.scp.sink import Sink
from sshkit.scp.source import Source

from .sftp_connect import Command, CommandLog

if TYPE_CHECKING:
    from .scp_options import CommandLine


def run_far(typed: "CommandLine", log: CommandLog) -> int:
    """Do it; returns the exit status."""
    command = Command(log)
    reactor = command.reactor
    peer: Peer
    if typed.far == "-t":
        peer = Sink(
            os.fsencode(typed.target),
            reactor,
            recursive=typed.recursive,
            preserve=typed.preserve,
            must_be_folder=typed.must_be_folder,
        )
    else:
        paths = [os.fsencode(path) for path in typed.sources]
        peer = Source(paths, reactor, recursive=typed.recursive, preserve=typed.preserve)

    async def work() -> int:
        transport: Any = reactor.open_stdio(peer)
        try:
            errors = await peer.finished
        finally:
            await flushed(transport, reactor)
        return 1 if errors else 0

    return 1 if command.run(work()) else 0


async def flushed(transport: Any, reactor: Any) -> None:
    """Close a transport after what it still has to write; whoever reads it may be slow, but not for ever."""
    from sshkit.deferred import Deferred

    transport.close()
    for _ in range(200):
        if not transport.get_write_buffer_size():
            return
        waiter: Deferred[None] = Deferred()
        reactor.call_later(0.05, waiter.callback, None)
        await waiter
