"""What somebody may fill who is not logged in: one small buffer (R42)."""

from sshkit.ssh.errors import RemoteProtocolError
from sshkit.ssh.messages.transport import IGNORE
from sshkit.ssh.transport.buffers import SMALL
from sshkit.ssh.transport.packet_reader import LIMIT_BEFORE_LOGIN
from tests.ssh.harness import Scene

LONG = bytes((IGNORE,)) + bytes(100_000)


def test_r42_a_long_packet_before_the_login_ends_the_connection() -> None:
    scene = Scene(core_is_client=False)
    scene.handshake()
    scene.raw.send_bytes(scene.raw.packet(LONG)[: LIMIT_BEFORE_LOGIN - 1])
    scene.settle()
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert str(LIMIT_BEFORE_LOGIN) in str(scene.owner.lost)


def test_r42_a_flood_before_the_login_is_read_by_a_small_buffer() -> None:
    scene = Scene(core_is_client=False)
    scene.handshake()
    scene.raw.send(*[bytes((IGNORE,)) + bytes(LIMIT_BEFORE_LOGIN // 2)] * 50)
    scene.settle()
    assert scene.owner.lost is None
    assert len(scene.layer.get_buffer(-1)) <= SMALL


def test_a_long_packet_after_the_login_is_taken() -> None:
    scene = Scene(core_is_client=False)
    scene.run()
    scene.raw.send(LONG)
    scene.settle()
    assert scene.owner.lost is None
