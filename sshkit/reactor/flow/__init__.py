"""Flow: limits and logs around any protocol, and bytes led from one transport to another.

    factory = RateLimit(TimeLimits(Echo, idle=60), reading=1_000_000)
    await server_from_string("tcp:7").listen(ConnectionLimits(factory, each=10))

A wrapper takes a protocol factory and is one; what it makes is the transport's protocol and the protocol's
transport.  A client gets the protocol itself as ``connected.protocol``.
"""

from .connections import ConnectionLimits
from .log import TrafficLog
from .pipes import join, pipe, produce
from .rates import Bucket, RateLimit
from .times import IdleTimeout, TimeLimits, TotalTimeout
from .wrapper import Wrapper

__all__ = [
    "Bucket",
    "ConnectionLimits",
    "IdleTimeout",
    "RateLimit",
    "TimeLimits",
    "TotalTimeout",
    "TrafficLog",
    "Wrapper",
    "join",
    "pipe",
    "produce",
]
