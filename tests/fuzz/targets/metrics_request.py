"""What is sent to the local endpoint of the counters, in pieces."""

from sshkit.server.metrics import Metrics
from sshkit.server.metrics_endpoint import Endpoint
from sshkit.testing import MemoryClock, MemoryTransport
from tests.fuzz.targets.pieces import pieces

METRICS = Metrics(started=0.0)


def parse(data: bytes) -> None:
    endpoint = Endpoint(METRICS, MemoryClock())
    request = endpoint.make_protocol()
    transport = MemoryTransport(request)
    request.connection_made(transport)
    for piece in pieces(data):
        request.data_received(piece)
    assert transport.outgoing.startswith(b"HTTP/1.1 ") or not transport.outgoing
    request.connection_lost(None)
    assert endpoint.connections == 0
