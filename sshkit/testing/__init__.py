"""Test doubles for programs that use sshkit: a clock, a transport and whole connections in memory."""

from sshkit.testing.clock import MemoryClock
from sshkit.testing.transport import MemoryTransport, connect_in_memory

__all__ = ["MemoryClock", "MemoryTransport", "connect_in_memory"]
