"""Asking hosts for their keys, in memory: good servers, bad ones, and many."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sshkit_keys import UnsupportedKey, generate_private_key
from sshkit_keys.errors import TrustFileError
from sshkit_keys.wire import string

import sshkit
from sshkit.client import scan as scan_module
from sshkit.client.scan import SCAN_TYPES, ScannedHost, ScanTarget, scan, scan_host
from sshkit.ssh.messages import transport
from sshkit.testing import MemoryReactor
from tests.client.world import ECDSA_KEY, HOST_KEY, World
from tests.ssh.raw_peer import RawPeer

RSA_KEY = generate_private_key("rsa", 2048)
ED448_KEY = generate_private_key("ed448")
MLDSA_KEY = generate_private_key("mldsa44-ed25519")
KEYS = [HOST_KEY, ECDSA_KEY, RSA_KEY]


def ask(
    world: World, *hosts: str | ScanTarget, keys: Any = KEYS, clean: bool = True, **options: Any
) -> list[ScannedHost]:
    """Scan hosts of a network with one server, and see that nothing is left."""

    async def main() -> list[ScannedHost]:
        async with world.serve(host_keys=keys):
            return [host async for host in scan(hosts, reactor=world.network, **options)]  # type: ignore[arg-type]

    found = world.run(main())
    if clean:
        world.is_clean()
    return found


class Bad:
    """A network whose host "host" is a raw peer for each connection."""

    def __init__(self, make: Callable[[], Any] | None = None) -> None:
        self.world = World()
        self.network = self.world.network
        self.peers: list[Any] = []

        def factory() -> Any:
            self.peers.append(RawPeer(is_client=False) if make is None else make())
            return self.peers[-1]

        self.network.listen_tcp("host", 22, factory)

    def start(self, **options: Any) -> "sshkit.Deferred[ScannedHost]":
        options.setdefault("key_types", ["ed25519"])
        scanning = scan_host("host", reactor=self.network, **options)
        self.network.settle()
        return scanning

    def finish(self, scanning: "sshkit.Deferred[ScannedHost]") -> ScannedHost:
        """Let time pass until the result is there."""
        return self.network.run(scanning)

    def error(self, scanning: "sshkit.Deferred[ScannedHost]") -> str:
        result = self.finish(scanning)
        assert not result.keys
        (error,) = {str(error): error for error in result.errors.values()}.values()
        assert isinstance(error, sshkit.SSHKitError)
        return str(error)

    def proposed(self, **options: Any) -> tuple[Any, RawPeer]:
        """Go as far as the client's public value."""
        scanning = self.start(**options)
        (raw,) = self.peers
        raw.identify()
        self.network.settle()
        raw.send(raw.proposal())
        self.network.settle()
        raw.take_proposal()
        return scanning, raw


class Talker:
    """A server that says one thing, again and again, or nothing."""

    def __init__(self, data: bytes, more: bytes = b"") -> None:
        self.data = data
        self.more = more

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.data)

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.more)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing is to be done."""

    def pause_writing(self) -> None:
        """It writes all the same."""

    def resume_writing(self) -> None:
        """It writes all the same."""


def test_a_host_shows_one_key_of_each_type_in_the_order_that_was_asked_for() -> None:
    (found,) = ask(World(), "host", key_types=["rsa", "ecdsa", "ed25519"])
    assert list(found.keys.items()) == [
        ("rsa", RSA_KEY.public),
        ("ecdsa", ECDSA_KEY.public),
        ("ed25519", HOST_KEY.public),
    ]
    assert found.identification.startswith("SSH-2.0-sshkit")
    assert (found.errors, found.missing) == ({}, ())
    assert found.target == ScanTarget("host")


def test_a_type_that_the_host_does_not_have_is_missing_and_no_error() -> None:
    (found,) = ask(World(), "host", keys=[HOST_KEY])
    assert list(found.keys) == ["ed25519"]
    assert found.missing == ("rsa", "ecdsa", "ecdsa-sk", "ed25519-sk")
    assert not found.errors


@pytest.mark.parametrize(("kind", "key"), [("ed448", ED448_KEY), ("mldsa44-ed25519", MLDSA_KEY)])
def test_types_that_no_default_offers_are_asked_for_by_name(kind: str, key: Any) -> None:
    bad = Bad(lambda: RawPeer(is_client=False, host_key=key, algorithms=offering))
    offering = sshkit.Algorithms(host_keys=SCAN_TYPES[kind])
    scanning, raw = bad.proposed(key_types=[kind])
    raw.send(raw.serve_init())
    assert bad.finish(scanning).keys == {kind: key.public}


def test_the_name_of_a_key_type_asks_for_that_one_alone() -> None:
    (found,) = ask(World(), "host", key_types=["ecdsa-sha2-nistp384", "ecdsa-sha2-nistp256"])
    assert list(found.keys) == ["ecdsa-sha2-nistp256"]
    assert found.missing == ("ecdsa-sha2-nistp384",)


@pytest.mark.parametrize("kinds", [["dsa"], ["ssh-dss"], ["x\x1b"], []])
def test_a_type_that_nobody_has_is_a_mistake_of_the_caller(kinds: list[str]) -> None:
    with pytest.raises(UnsupportedKey) as refused:
        scan_host("host", key_types=kinds, reactor=World().network)  # type: ignore[arg-type]
    assert str(refused.value).isprintable()


def test_no_login_is_tried_and_no_keys_come_into_force() -> None:
    bad = Bad()
    scanning, raw = bad.proposed()
    raw.send(raw.serve_init())
    assert bad.finish(scanning).keys == {"ed25519": raw.host_key.public}
    bad.network.settle()
    assert raw.numbers() == [transport.DISCONNECT]


def test_a_key_that_the_server_cannot_prove_is_not_reported() -> None:
    bad = Bad()
    scanning, raw = bad.proposed()
    raw.send(raw.serve_init(signature=HOST_KEY.sign("ssh-ed25519", b"something else")))
    bad.network.settle()
    assert "the server's host key or its signature is not valid" in bad.error(scanning)


def test_a_key_of_a_type_that_was_not_asked_for_is_not_reported() -> None:
    bad = Bad()
    scanning, raw = bad.proposed()
    raw.send(raw.serve_init(host_key=ECDSA_KEY.public.blob))
    bad.network.settle()
    assert "the server's host key or its signature is not valid" in bad.error(scanning)


def test_a_key_that_is_none_is_told_without_raw_bytes() -> None:
    bad = Bad()
    scanning, raw = bad.proposed()
    raw.send(raw.serve_init(host_key=string(b"\x1b[31mkey") + b"\0" * 8))
    bad.network.settle()
    assert bad.error(scanning).isprintable()


def test_silence_is_given_up_after_the_time_for_each_step() -> None:
    bad = Bad()
    assert bad.error(bad.start(timeout=3.0)) == "it did not say who it is within 3 seconds"
    assert bad.network.seconds() < 4
    bad = Bad()
    scanning = bad.start(timeout=3.0)
    bad.peers[0].identify()
    assert bad.error(scanning) == "it did not show its key within 3 seconds"
    assert bad.network.seconds() < 7
    bad = Bad()
    scanning, _ = bad.proposed(timeout=3.0)
    assert bad.error(scanning) == "it did not show its key within 3 seconds"


def test_a_server_that_answers_drop_by_drop_gets_no_more_time() -> None:
    bad = Bad()
    scanning = bad.start(timeout=3.0)

    def drip() -> None:
        if not scanning.called:
            bad.peers[0].send_bytes(b"x\r\n")
            bad.network.call_later(0.5, drip)

    drip()
    assert bad.error(scanning) == "it did not say who it is within 3 seconds"
    assert bad.network.seconds() < 4


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"HTTP/1.1 400 \x1b[31m\r\n" * 2000, "1024 lines and no identification"),
        (b"x" * 100_000, "no line end in the first 8192 bytes"),
        (b"SSH-1.5-\x1b[31mold\r\n", "the peer speaks SSH-1.5-\\x1b[31mold, not SSH 2.0"),
        (b"SSH-2.0-" + b"x" * 300 + b"\r\n", "identification of 310 bytes, 255 allowed"),
        (b"SSH-2.0-x\r\n" + b"\xff" * 1000, ""),
    ],
)
def test_r19_a_banner_that_is_none_ends_the_conversation(data: bytes, what: str) -> None:
    bad = Bad(lambda: Talker(data, data))
    error = bad.error(bad.start())
    assert what in error
    assert error.isprintable()
    assert bad.network.seconds() < 1


def test_r36_what_a_server_calls_itself_is_escaped() -> None:
    bad = Bad(lambda: Talker(b"SSH-2.0-\x1b[31m\xe2\x80\xae\r\n"))
    result = bad.finish(bad.start())
    assert result.identification == "SSH-2.0-\\x1b[31m\\u202e"


@pytest.mark.parametrize("step", range(4))
def test_a_disconnect_at_any_step_is_told(step: int) -> None:
    bad = Bad()
    scanning = bad.start()
    (raw,) = bad.peers
    goodbye = transport.Disconnect(2, b"go\x1b away", b"")
    if step:
        raw.identify()
        bad.network.settle()
    if step > 1:
        raw.send(raw.proposal())
        bad.network.settle()
    if step == 3:
        raw.transport.close()
    elif step:
        raw.send(goodbye)
    else:
        raw.transport.close()
    bad.network.settle()
    error = bad.error(scanning)
    assert ("go\\x1b away" in error) if step in (1, 2) else ("closed the connection" in error)


def test_a_host_that_is_not_there_is_one_error_for_every_type() -> None:
    (found,) = ask(World(), "host:23", key_types=["rsa", "ed25519"])
    assert list(found.errors) == ["rsa", "ed25519"]
    assert all(isinstance(error, sshkit.ConnectError) for error in found.errors.values())
    assert (found.keys, found.identification) == ({}, "")


@pytest.mark.parametrize("host", ["", "a b", "-oProxyCommand=x", "x\x1b", "host:99999", "a;b"])
def test_r39_a_name_that_can_be_none_is_an_error_of_that_host_alone(host: str) -> None:
    found = ask(World(), host, "host", key_types=["ed25519"])
    by_host = {result.target.host: result for result in found}
    assert by_host["host"].keys
    assert isinstance(by_host[host].errors["ed25519"], sshkit.InvalidDestination)


def test_a_port_that_can_be_none_is_an_error_too() -> None:
    (found,) = ask(World(), ScanTarget("host", 99999), key_types=["ed25519"])
    assert isinstance(found.errors["ed25519"], sshkit.InvalidDestination)


def test_the_next_address_is_tried_where_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    tried: list[str] = []
    connect = world.network.connect_tcp

    def choosy(self: Any, host: str, port: int, factory: Any, **options: Any) -> Any:
        tried.append(host)
        return connect("host", port if host.startswith("good") else 1, factory, **options)

    monkeypatch.setattr(type(world.network), "connect_tcp", choosy)
    target = ScanTarget("bad1", 22, ("good", "unused"), ("name",))
    (found,) = ask(world, target, key_types=["ed25519"])
    assert tried == ["bad1", "good"]
    assert found.keys
    (line,) = found.lines()
    assert line.startswith("name ssh-ed25519 ")
    (found,) = ask(world, ScanTarget("bad1", 22, ("bad2",)), key_types=["ed25519", "rsa"])
    assert tried[2:] == ["bad1", "bad2"]
    assert len(found.errors) == 2


def address(world: World) -> str:
    return str(world.network.pairs[0].client.get_extra_info("peername")[0])


def test_all_types_are_asked_at_the_address_that_answered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    asked: list[str] = []
    connect = world.network.connect_tcp

    def watching(self: Any, host: str, port: int, factory: Any, **options: Any) -> Any:
        asked.append(host)
        return connect(host, port, factory, **options)

    monkeypatch.setattr(type(world.network), "connect_tcp", watching)

    async def main() -> None:
        async with world.serve(host_keys=KEYS):
            await scan_host("host", key_types=["rsa", "ecdsa", "ed25519"], reactor=world.network)  # type: ignore[arg-type]

    world.run(main())
    assert asked == ["host", address(world), address(world)]


@pytest.mark.parametrize("peer", [("fe80::1", 22, 0, 3), "/a/path", None])
def test_an_address_that_does_not_lead_back_is_not_used(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Bad(lambda: Talker(b""))
    bad.network.on_connect = lambda pair: pair.client._info.update(peername=peer)
    hosts: list[str] = []
    connect = MemoryReactor.connect_tcp

    def watching(self: Any, host: str, *rest: Any, **options: Any) -> Any:
        hosts.append(host)
        return connect(self, host, *rest, **options)

    monkeypatch.setattr(MemoryReactor, "connect_tcp", watching)
    bad.finish(bad.start(key_types=["rsa", "ed25519"]))
    assert hosts == ["host", "host"]


def test_names_that_known_hosts_cannot_hold_are_not_written() -> None:
    (found,) = ask(World(), ScanTarget("host", aliases=("a b",)), key_types=["ed25519"])
    with pytest.raises(TrustFileError):
        list(found.lines())


def test_lines_are_those_of_known_hosts_plain_and_hashed() -> None:
    (found,) = ask(World(), ScanTarget("host", 22, ("1.2.3.4",)), key_types=["ed25519"])
    text = HOST_KEY.public.to_line().rsplit(" ", 2)[0]
    assert [line.split(" ")[0] for line in found.lines()] == ["host", "1.2.3.4"]
    assert all(" ".join(line.split(" ")[1:]) in HOST_KEY.public.to_line() for line in found.lines())
    assert text in next(found.lines())
    known = sshkit_known("".join(f"{line}\n" for line in found.lines(hashed=True, random_bytes=os.urandom)))
    assert list(known.lookup("host").key_types) == ["ssh-ed25519"]
    assert "host" not in "".join(line.split(" ")[0] for line in found.lines(hashed=True))


def sshkit_known(text: str) -> Any:
    from sshkit_keys import KnownHosts

    known = KnownHosts()
    known.parse(text.encode(), "test")
    return known


def test_so_many_hosts_are_asked_at_once_and_no_more() -> None:
    bad = Bad(lambda: Talker(b""))
    read: list[int] = []

    def hosts() -> Iterator[str]:
        for number in range(10):
            read.append(number)
            yield "host"

    scanning = scan(hosts(), key_types=["ed25519"], parallel=3, timeout=1.0, reactor=bad.network)  # type: ignore[arg-type]
    assert len(bad.peers) == 3

    async def main() -> None:
        for number in range(1, 11):
            await scanning.__anext__()
            assert len(read) <= number + 3
        with pytest.raises(StopAsyncIteration):
            await scanning.__anext__()

    bad.network.run(main())
    assert len(bad.peers) == 10


def test_a_slow_host_keeps_no_other_one_waiting() -> None:
    world = World()
    world.network.listen_tcp("silent", 23, lambda: Talker(b""))
    found = ask(world, "silent:23", "host", "host", key_types=["ed25519"], parallel=2, clean=False)
    assert [result.target.port for result in found] == [22, 22, 23]


def test_a_scan_that_is_closed_asks_nobody_any_more() -> None:
    bad = Bad(lambda: Talker(b""))
    scanning = scan(("host" for _ in range(10)), parallel=2, reactor=bad.network)  # type: ignore[arg-type]
    waiting = sshkit.ensure_deferred(scanning.__anext__())
    bad.network.settle()
    scanning.close()
    with pytest.raises(StopAsyncIteration):
        waiting.result()
    bad.network.settle()
    assert all(pair.client.closed for pair in bad.network.pairs)
    assert len(bad.network.pairs) == 2 * 5


def test_a_scan_of_nobody_ends_at_once_and_one_of_no_host_at_a_time_is_refused() -> None:
    world = World()
    assert ask(world) == []
    with pytest.raises(ValueError, match="0 hosts at the same time"):
        scan([], parallel=0, reactor=world.network)  # type: ignore[arg-type]


def test_a_scan_that_is_cancelled_while_it_connects_leaves_nothing() -> None:
    class Connecting(MemoryReactor):
        def connect_tcp(self, *arguments: Any, **options: Any) -> Any:
            return connecting

    connecting: sshkit.Deferred[Any] = sshkit.Deferred()
    network = Connecting()
    scanning = scan_host(ScanTarget("host", 22, ("other",)), reactor=network)  # type: ignore[arg-type]
    scanning.cancel()
    with pytest.raises(sshkit.CancelledError):
        scanning.result()
    assert connecting.called
    assert network.next_due() is None


def test_a_connection_that_breaks_as_it_comes_about_is_told() -> None:
    class Breaking(MemoryReactor):
        def connect_tcp(self, host: str, port: int, factory: Any, **options: Any) -> Any:
            factory().connection_lost(OSError("broken"))
            connected: sshkit.Deferred[None] = sshkit.Deferred()
            connected.callback(None)
            return connected

    network = Breaking()
    scanning = scan_host("host", key_types=["rsa", "ed25519"], reactor=network)  # type: ignore[arg-type]
    errors = scanning.result().errors
    assert [str(error) for error in errors.values()] == [
        "the connection was lost before it identified itself: broken"
    ] * 2
    assert network.next_due() is None


def test_a_mistake_of_ours_is_an_error_of_one_type(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Bad()

    def broken(self: Any, key: Any) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(scan_module._Conversation, "verify_host_key", broken)
    scanning, raw = bad.proposed()
    raw.send(raw.serve_init())
    assert bad.error(scanning) == "internal error: ZeroDivisionError: oops"


def test_a_target_may_be_given_with_another_port_and_programs_need_name_no_reactor() -> None:
    async def main() -> list[ScannedHost]:
        first = await scan_host(ScanTarget("127.0.0.1"), 1, key_types=["ed25519"])
        second = await scan_host("127.0.0.1", 1, key_types=["ed25519"])
        return [first, second, *[host async for host in scan(["127.0.0.1:1"], key_types=["ed25519"])]]

    for host in sshkit.run(main()):
        assert host.target == ScanTarget("127.0.0.1", 1)
        assert "refused" in str(host.errors["ed25519"])
