"""The server tells and proves all its host keys; our client and OpenSSH's learn them."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import CertifiedKey, PrivateKey, generate_private_key, sign_certificate
from sshkit_keys.wire import WireReader, string

import sshkit
from sshkit.deferred import Deferred, fail, succeed
from sshkit.server.host_key_rotation import PROVE, HostKeyRotation
from sshkit.ssh.errors import ChannelRequestFailed, DisconnectedByPeer
from tests.client.world import ECDSA_KEY, HOST_KEY, OTHER_KEY, USER_KEY, World, echo, known_line
from tests.server.owners import Owner
from tests.server.real_ssh import real_ssh, write_key

RSA_KEY: PrivateKey = generate_private_key("rsa", 2048)
AUTHORITY: PrivateKey = generate_private_key("ed25519")
CERTIFIED = CertifiedKey(
    ECDSA_KEY,
    sign_certificate(
        AUTHORITY,
        ECDSA_KEY.public,
        key_id="id",
        principals=["host"],
        role="host",
        random_bytes=os.urandom,
    ),
)
KEYS = (HOST_KEY, ECDSA_KEY, CERTIFIED, RSA_KEY, OTHER_KEY)
PLAIN = (HOST_KEY, ECDSA_KEY, RSA_KEY, OTHER_KEY)
#: The tests tell the clients themselves.
SILENT = sshkit.Settings(announce_keys=False)


class Later:
    """A host key whose signature comes later."""

    def __init__(self, key: PrivateKey) -> None:
        self.public = key.public
        self.key = key
        self.asked: list[tuple[str, bytes, Deferred[bytes]]] = []

    def sign(self, algorithm: str, data: bytes) -> Deferred[bytes]:
        self.asked.append((algorithm, data, Deferred()))
        return self.asked[-1][2]


def rotate(server: sshkit.Server, rotation: HostKeyRotation) -> None:
    """Have the server use it, as the seam between both does."""
    hook: Any = server
    logged_in = server.logged_in

    def hooked(ours: Any) -> None:
        logged_in(ours)
        core = ours._connection

        def requested(kind: str, body: bytes) -> Any:
            return rotation.prove(core.layer, body) if kind == PROVE else ours.global_requested(kind, body)

        core.owner = Owner(ours, global_requested=requested)
        server.clock.call_soon(lambda: rotation.announce(core))

    hook.logged_in = hooked


def test_our_client_learns_all_plain_keys_two_of_one_type_among_them(tmp_path: Path) -> None:
    world = World()
    known = tmp_path / "known_hosts"
    known.write_text(known_line("host", HOST_KEY))

    async def main() -> None:
        async with world.serve(host_keys=KEYS) as server:
            rotate(server, HostKeyRotation(KEYS))
            async with world.connect(known_hosts=known, update_host_keys=True) as connection:
                assert connection.host_key_updates is not None
                await connection.host_key_updates.done

    world.run(main())
    assert known.read_text() == "".join(known_line("host", key) for key in PLAIN)


@pytest.mark.peer("ssh")
@pytest.mark.parametrize("first", ["ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"])
def test_openssh_learns_all_plain_keys(tmp_path: Path, first: str) -> None:
    write_key(tmp_path / "id", USER_KEY)
    known = tmp_path / "known_hosts"
    trusted = HOST_KEY if first == "ssh-ed25519" else RSA_KEY

    async def main() -> None:
        async with sshkit.serve(
            "127.0.0.1:0", echo, host_keys=KEYS, authorized_keys=[USER_KEY.public], settings=SILENT
        ) as server:
            rotate(server, HostKeyRotation(KEYS))
            name = f"[127.0.0.1]:{server.address[1]}"
            known.write_text(known_line(name, trusted))
            options = (f"HostKeyAlgorithms={first},*ed25519,*ecdsa*,rsa*", "UpdateHostKeys=yes")
            done = await real_ssh(tmp_path, server, *options, command="exit 0")
            assert done.returncode == 0, done.stderr
            want = {known_line(name, key).strip() for key in PLAIN}
            assert set(known.read_text().splitlines()) == want

    sshkit.run(main(), engine="native")


def asked(keys: Any, body: bytes) -> tuple[Any, sshkit.ClientConnection]:
    """Ask a server in memory with these keys for proof; return what the client got."""
    world = World()
    got: list[Any] = []

    async def main() -> None:
        async with world.serve(host_keys=[HOST_KEY]) as server:
            rotate(server, HostKeyRotation(keys))
            async with world.connect() as connection:
                got.append(connection)
                try:
                    got.insert(0, await connection._require().global_request(PROVE, body))
                except (ChannelRequestFailed, DisconnectedByPeer) as error:
                    got.insert(0, error)

    world.run(main())
    return got[0], got[1]


def test_each_proof_is_over_the_session_and_the_key() -> None:
    answer, connection = asked(KEYS, string(RSA_KEY.public.blob) + string(OTHER_KEY.public.blob))
    reader = WireReader(answer)
    for key, algorithm in ((RSA_KEY, "rsa-sha2-512"), (OTHER_KEY, "ssh-ed25519")):
        data = string(PROVE) + string(connection.layer.session_id) + string(key.public.blob)
        key.public.verify(algorithm, data, reader.string("proof"))
    reader.finish("proofs")


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [generate_private_key("ed25519").public],
        [HOST_KEY.public, generate_private_key("ed25519").public],
        [CERTIFIED.public],
        [RSA_KEY.public, RSA_KEY.public],
    ],
    ids=["none", "a foreign one", "one foreign one", "a certificate", "one twice"],
)
def test_r18_what_is_not_ours_or_is_asked_for_twice_is_refused(keys: Any) -> None:
    answer, _ = asked(KEYS, b"".join(string(key.blob) for key in keys))
    assert isinstance(answer, ChannelRequestFailed)


def test_r18_a_damaged_request_ends_the_connection() -> None:
    answer, _ = asked(KEYS, string(HOST_KEY.public.blob) + b"\0\0\0\xff")
    assert isinstance(answer, DisconnectedByPeer)
    assert "a damaged hostkeys-prove-00@openssh.com" in str(answer)


class Layer:
    """What of a transport layer is looked at."""

    session_id = b"session"
    negotiated = None


def test_signatures_that_come_later_are_put_together_in_order() -> None:
    later = Later(HOST_KEY)
    rotation = HostKeyRotation([later, ECDSA_KEY])
    layer: Any = Layer()
    body = string(HOST_KEY.public.blob) + string(ECDSA_KEY.public.blob)
    answer = rotation.prove(layer, body)
    assert isinstance(answer, Deferred)
    assert not answer.called
    algorithm, data, signing = later.asked[0]
    signing.callback(HOST_KEY.sign(algorithm, data))
    reader = WireReader(answer.result())
    HOST_KEY.public.verify("ssh-ed25519", data, reader.string("first"))
    assert reader.string("second")
    reader.finish("both")
    failing: Any = Later(HOST_KEY)
    failing.sign = lambda *_: fail(OSError("the agent has gone"))
    refused = HostKeyRotation([failing]).prove(layer, string(HOST_KEY.public.blob))
    assert isinstance(refused, Deferred)
    with pytest.raises(OSError, match="the agent has gone"):
        refused.result()
    failing.sign = lambda *_: succeed(b"signature")
    assert HostKeyRotation([failing]).prove(layer, string(HOST_KEY.public.blob))


@pytest.mark.parametrize(
    ("identification", "keys", "sent"),
    [
        ("Cisco-1.25", KEYS, 0),
        ("TTSSH/2.72 Win32", KEYS, 0),
        ("OpenSSH_10.0", KEYS, 1),
        ("OpenSSH_10.0", [CERTIFIED], 0),
    ],
)
def test_clients_that_would_end_the_connection_are_told_nothing(
    identification: str, keys: Any, sent: int
) -> None:
    world = World()

    async def main() -> None:
        async with world.serve(settings=SILENT) as server, world.connect():
            (ours,) = server.connections
            core: Any = ours._connection
            ours.layer.peer_identification = b"SSH-2.0-" + identification.encode()
            before = ours.layer.writer.sealer.sequence
            HostKeyRotation(keys).announce(core)
            await world.settled()
            assert ours.layer.writer.sealer.sequence - before == sent

    world.run(main())
