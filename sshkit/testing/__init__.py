"""Test doubles for programs that use sshkit: a network in memory, a clock, transports.

``MemoryReactor().run(main())`` runs a test without sockets; see `sshkit.testing.reactor`.
"""

from sshkit.testing.clock import MemoryClock
from sshkit.testing.datagrams import MemoryDatagrams
from sshkit.testing.faults import Line
from sshkit.testing.host import Answer, MemoryHost
from sshkit.testing.reactor import Deadlock, MemoryReactor
from sshkit.testing.transport import MemoryPair, MemoryTransport, connect_in_memory

__all__ = [
    "Answer",
    "Deadlock",
    "Line",
    "MemoryClock",
    "MemoryDatagrams",
    "MemoryHost",
    "MemoryPair",
    "MemoryReactor",
    "MemoryTransport",
    "connect_in_memory",
]
