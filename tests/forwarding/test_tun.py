"""Tunnels: packets between a device and a channel, with sockets in the place of devices, and real devices."""

import os
import socket
from typing import Any

import pytest
from sshkit_keys.errors import WireError

import sshkit
from sshkit.forwarding import tun
from sshkit.forwarding.errors import NoTunnel
from sshkit.server.key_limits import KeyLimits
from sshkit.ssh.connection.protocol import ChannelProtocol
from tests.forwarding.unix_world import UnixWorld

IPV4 = b"\x45" + bytes(19) + b"four"
IPV6 = b"\x60" + bytes(39) + b"six"
FRAME = bytes(14) + b"frame"
ALLOWED = sshkit.ForwardPolicy(tunnel="yes")


class TunWorld(UnixWorld):
    """Each device that is opened is one end of a pair; `wires` are the others."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[int, int | None]] = []
        self.wires: list[socket.socket] = []
        self.fds: list[int] = []

    def open_device(self, mode: int, unit: int | None) -> tuple[int, str]:
        if unit == 13:
            raise NoTunnel("tun device 13: Device or resource busy")
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        far.setblocking(False)
        self.opened.append((mode, unit))
        self.wires.append(far)
        fd = near.detach()
        self.fds.append(fd)
        return fd, f"tun{unit}"

    async def put(self, index: int, *packets: bytes) -> None:
        """Let packets come from a device."""
        for packet in packets:
            self.wires[index].send(packet)
        self.network.readers[self.fds[index]]()
        await self.settled()

    def got(self, index: int) -> list[bytes]:
        """Return what a device was given."""
        found = []
        while True:
            try:
                found.append(self.wires[index].recv(1 << 17))
            except BlockingIOError:
                return found

    def close(self) -> None:
        for wire in self.wires:
            wire.close()
        for fd in self.fds:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(fd)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> TunWorld:
    found = TunWorld()
    monkeypatch.setattr(tun, "open_device", found.open_device)
    monkeypatch.setattr("sshkit.server.forwards.open_device", found.open_device)
    return found


@pytest.mark.parametrize(
    ("mode", "packets"), [("point-to-point", (IPV4, IPV6)), ("ethernet", (FRAME, b"\x45"))]
)
def test_packets_go_both_ways_whole(world: TunWorld, mode: Any, packets: tuple[bytes, ...]) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        tunnel = await connection.forward_tunnel(3, None, mode=mode)
        assert (tunnel.name, world.opened) == ("tun3", [(tun.MODES[mode], 3), (tun.MODES[mode], None)])
        await world.put(0, *packets)
        assert world.got(1) == list(packets)
        await world.put(1, *reversed(packets))
        assert world.got(0) == list(reversed(packets))
        size = sum(map(len, packets))
        assert (tunnel.tally.bytes_out, tunnel.tally.bytes_in) == (size, size)
        assert "open" in repr(tunnel)
        tunnel.close()
        tunnel.close()
        assert "closed" in repr(tunnel)
        await world.settled()
        assert not world.network.readers

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


def test_what_is_no_packet_of_ip_stays_where_it_is(world: TunWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        tunnel = await connection.forward_tunnel()
        await world.put(0, b"\x99 something", IPV4)
        assert world.got(1) == [IPV4]
        assert tunnel.tally.refused == 1

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


def test_r24_packets_that_do_not_fit_are_lost_and_none_is_cut(world: TunWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        tunnel = await connection.forward_tunnel()
        channel = next(iter(connection.core.channels.values()))
        channel.send_window = len(IPV4) + 4
        await world.put(0, IPV4, IPV4, IPV6)
        assert world.got(1) == [IPV4]
        assert tunnel.tally.refused == 2
        channel.send_window = 1 << 20
        channel.max_packet = 10
        await world.put(0, IPV4)
        assert tunnel.tally.refused == 3
        assert channel.get_write_buffer_size() == 0

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


def test_a_device_that_goes_ends_the_tunnel(world: TunWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.forward_tunnel()
        world.wires[1].close()
        await world.put(0, IPV4)  # nobody takes it there
        world.network.readers[world.fds[1]]()
        await world.settled()
        assert not world.network.readers
        await connection.wait_idle()

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


def test_a_device_that_fails_ends_the_tunnel(world: TunWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(fd: int, size: int) -> bytes:
        raise OSError(77, "File descriptor in bad state")

    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.forward_tunnel()
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", read)
            world.network.readers[world.fds[0]]()
        await world.settled()
        assert not world.network.readers

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


def test_a_busy_device_gives_others_their_turn(world: TunWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tun, "PACKETS_A_TURN", 2)

    async def main(connection: sshkit.ClientConnection) -> None:
        await connection.forward_tunnel()
        await world.put(0, *[IPV4] * 5)
        assert len(world.got(1)) == 2

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


async def refusal(opening: "sshkit.Deferred[Any]") -> str:
    with pytest.raises(sshkit.SSHKitError) as caught:
        await opening
    return str(caught.value)


@pytest.mark.parametrize("policy", ["no", "yes", "point-to-point", "ethernet"])
def test_r28_the_policy_says_which_kind_of_tunnel(world: TunWorld, policy: Any) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        modes: tuple[Any, ...] = ("point-to-point", "ethernet")
        for mode in modes:
            if policy in ("yes", mode):
                (await connection.forward_tunnel(mode=mode)).close()
            else:
                assert "not permitted" in await refusal(connection.forward_tunnel(mode=mode))

    world.with_forwards(main, forwards=sshkit.ForwardPolicy(tunnel=policy))
    world.close()


def test_r28_a_key_that_may_not_forward_has_no_tunnel(world: TunWorld) -> None:
    class Limited(sshkit.Users):
        def check_key(self, user: str, key: Any) -> Any:
            return KeyLimits("key:1", permit_port_forwarding=False)

        def methods(self) -> tuple[str, ...]:
            return ("publickey",)

    async def main(connection: sshkit.ClientConnection) -> None:
        assert "not permitted" in await refusal(connection.forward_tunnel())

    world.with_forwards(main, forwards=ALLOWED, users=Limited({}))
    world.close()


def test_r28_a_key_with_a_device_has_that_one_only(world: TunWorld) -> None:
    class Limited(sshkit.Users):
        def check_key(self, user: str, key: Any) -> Any:
            return KeyLimits("key:1", tunnel=7)

        def methods(self) -> tuple[str, ...]:
            return ("publickey",)

    async def main(connection: sshkit.ClientConnection) -> None:
        assert "not permitted" in await refusal(connection.forward_tunnel(1, 6))
        world.opened.clear()
        await connection.forward_tunnel(1, 7)
        await connection.forward_tunnel(2)
        assert [unit for _, unit in world.opened] == [1, 7, 2, 7]

    world.with_forwards(main, forwards=ALLOWED, users=Limited({}))
    world.close()


def test_a_server_without_forwards_has_no_tunnels(world: TunWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        assert "not offered" in await refusal(connection.forward_tunnel())

    world.with_forwards(main, forwards=False)
    world.close()


def test_r26_what_a_client_may_open_is_bounded_and_checked(
    world: TunWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sshkit.server.forwards.MAX_TUNNELS", 1)

    async def main(connection: sshkit.ClientConnection) -> None:
        for mode, unit in ((0, 1), (3, 1), (1, 0x7FFFFFFE), (2, 0xFFFFFFFF)):
            body = tun.TunOpen(mode, unit).encode()
            opening = connection.core.open_channel(tun.KIND, body, ChannelProtocol())
            assert "permitted" in (text := await refusal(opening)) or "no such device" in text
        assert "cannot be opened" in await refusal(connection.forward_tunnel(1, 13))
        with pytest.raises(NoTunnel, match="busy"):
            await connection.forward_tunnel(13)
        with pytest.raises(NoTunnel, match="no number"):
            await connection.forward_tunnel(-1)
        with pytest.raises(NoTunnel, match="no number"):
            await connection.forward_tunnel(0, 1 << 31)
        await connection.forward_tunnel()
        assert "not permitted" in await refusal(connection.forward_tunnel())

    world.with_forwards(main, forwards=ALLOWED)
    assert any("no tunnel: tun device 13" in line for line in world.log)
    world.close()


@pytest.mark.parametrize("rubbish", [b"", b"\0\0\0\2", b"\0\0\0\x18", b"\0\0\0\x63" + IPV4])
def test_packets_of_a_peer_that_are_none_are_dropped(world: TunWorld, rubbish: bytes) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        tunnel = await connection.forward_tunnel()
        tunnel.data_received(memoryview(rubbish))
        assert tunnel.tally.refused == 1
        world.wires[0].close()
        tunnel.data_received(memoryview(b"\0\0\0\2" + IPV4))
        assert tunnel.tally.refused == 2
        tunnel.close()
        tunnel.data_received(memoryview(b"\0\0\0\2" + IPV4))

    world.with_forwards(main, forwards=ALLOWED)
    world.close()
    with pytest.raises(WireError):
        tun.unframed(tun.POINT_TO_POINT, memoryview(rubbish))


def test_a_tunnel_that_was_given_up_closes_its_channel(world: TunWorld) -> None:
    async def main(connection: sshkit.ClientConnection) -> None:
        fd, name = world.open_device(1, None)
        tunnel = tun.Tunnel(world.network, 1, fd, name)
        tunnel.close()
        body = tun.TunOpen(1, tun.ANY_UNIT).encode()
        await connection.core.open_channel(tun.KIND, body, tunnel)
        await connection.wait_idle()
        other = await connection.forward_tunnel()
        world.network.readers[world.fds[-2]]()
        other.eof_received()

    world.with_forwards(main, forwards=ALLOWED)
    world.close()


def real_device(mode: int) -> tuple[int, str] | NoTunnel:
    """Open a real one, or return why this machine does not let us."""
    try:
        return tun.open_device(mode, None)
    except NoTunnel as error:
        return error


@pytest.mark.parametrize("mode", ["point-to-point", "ethernet"])
def test_a_real_device_can_be_opened_once_by_who_may(mode: str) -> None:
    kind = "tap" if mode == "ethernet" else "tun"
    opened = real_device(tun.MODES[mode])
    if isinstance(opened, NoTunnel):
        assert "tun" in str(opened) or kind in str(opened)
        return
    fd, name = opened
    try:
        assert name.startswith(kind)
        with pytest.raises(NoTunnel, match=f"{kind} device {name[3:]}"):
            tun.open_device(tun.MODES[mode], int(name[3:]))
    finally:
        os.close(fd)


def test_without_the_devices_file_there_is_no_tunnel(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(tun, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(NoTunnel, match="No such file"):
        tun.open_device(tun.ETHERNET, 1)
    (tmp_path / "tun").touch()
    with pytest.raises(NoTunnel, match="tap device 1"):
        tun.open_device(tun.ETHERNET, 1)
