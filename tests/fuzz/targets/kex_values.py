"""The public values of every key exchange method, in both roles (R14): the mathematics alone."""

from sshkit.ssh.key_exchange.method import Method
from tests.fuzz.targets import keyless
from tests.fuzz.targets.pieces import random_bytes

#: Those whose groups are chosen are met in a whole exchange.
METHODS = tuple(method for method in keyless.METHODS if not method.chooses_group)
#: Half-way through, as a client: made once, for that takes long.
CLIENTS: dict[str, Method] = {}


def parse(data: bytes) -> None:
    if not data:
        return
    kind = METHODS[(data[0] >> 1) % len(METHODS)]
    if data[0] & 1:
        public = kind.init.decode(b"\x1e" + data[1:]).public
        answer, secret = kind(random_bytes).server_respond(public)
        assert kind.encode_public(answer)
    else:
        reply = kind.reply.decode(b"\x1f" + data[1:])
        if kind.name not in CLIENTS:
            CLIENTS[kind.name] = kind(random_bytes)
            CLIENTS[kind.name].client_public()
        secret = CLIENTS[kind.name].client_secret(reply.public)
    assert kind.encode_secret(secret)
