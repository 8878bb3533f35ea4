"""Endpoints: where to connect and where to listen, as one line of text or as an object.

    endpoint = client_from_string("tcp:example.org:7")
    echo = await endpoint.connect(Echo)
    listener = await server_from_string("tcp:0:interface=127.0.0.1").listen(Echo)

Called by programs whose users choose the place.  The kinds are in `table`, one file each; nothing but this
module loads before a kind is asked for.
"""

from .errors import EndpointError
from .strings import client_from_string, server_from_string

__all__ = ["EndpointError", "client_from_string", "server_from_string"]
