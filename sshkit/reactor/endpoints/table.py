"""The kinds of endpoints: one line each, one file each, loaded when a text names the kind.

An entry is "module:function"; the function takes (arguments, reactor or None) and returns the endpoint.
Kinds that stand on rooms above this one are named here and nowhere imported.  Other packages add kinds by
entry points of the groups below; they cannot replace these.
"""

from collections.abc import Mapping
from typing import Final

_HERE = "sshkit.reactor.endpoints."

CLIENT_KINDS: Final[Mapping[str, str]] = {
    "tcp": _HERE + "tcp:client",
    "tls": _HERE + "tls:client",
    "unix": _HERE + "unix:client",
    "process": _HERE + "process:client",
    "stdio": _HERE + "descriptors:stdio_client",
    "fd": _HERE + "descriptors:fd_client",
    "socks5": _HERE + "socks5:client",
    "ssh": "sshkit.client.endpoint:client",
}

SERVER_KINDS: Final[Mapping[str, str]] = {
    "tcp": _HERE + "tcp:server",
    "tls": _HERE + "tls:server",
    "unix": _HERE + "unix:server",
    "stdio": _HERE + "descriptors:stdio_server",
    "fd": _HERE + "descriptors:fd_server",
    "systemd": _HERE + "systemd:server",
    "haproxy": "sshkit.server.haproxy_endpoint:server",
}

#: Entry points of other packages: name = kind, value = module:function of (arguments, reactor).
CLIENT_GROUP: Final = "sshkit.endpoints"
SERVER_GROUP: Final = "sshkit.endpoints.server"
