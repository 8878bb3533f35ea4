"""A chain of methods, where users change in the middle of it."""

from sshkit_keys import PublicKey, generate_private_key

import sshkit
from sshkit.deferred import maybe_deferred
from sshkit.server.connection import ServerConnection
from sshkit.server.server import Server
from sshkit.server.session import Program, SessionRequest
from sshkit.ssh.authentication.verdicts import Partial
from sshkit.testing import MemoryClock


def no_program(request: SessionRequest) -> Program | None:
    return None


def test_r5_a_chain_starts_again_after_another_user_s_try() -> None:
    host, ann = generate_private_key("ed25519"), generate_private_key("ed25519")
    users = sshkit.Users({"ann": "secret"}, {"ann": [ann.public]}, chain=("publickey", "password"))
    server = Server(MemoryClock(), host_keys=[host], users=users, start_program=no_program)
    policy = ServerConnection(server).policy

    def offer(key: PublicKey) -> object:
        return maybe_deferred(policy.public_key, "ann", key, True).result()

    assert offer(ann.public) == Partial(("password",))
    policy.methods("bob")  # so the layer asks when it has forgotten what ann reached
    assert offer(ann.public) == Partial(("password",))
