"""Listening: addresses, limits of the system, pausing, UNIX sockets' files."""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.deferred import gather
from sshkit.interfaces import IListener
from sshkit.reactor import listener as listener_module
from sshkit.reactor.errors import ListenError
from sshkit.reactor.listener import bind_all, bind_tcp

from .helpers import Recorder, later

Run = Callable[[Any], Any]
INET, INET6 = int(socket.AF_INET), int(socket.AF_INET6)


class Accepting:
    """A factory that keeps its protocols, and a raw client."""

    def __init__(self) -> None:
        self.protocols: list[Recorder] = []
        self.clients: list[socket.socket] = []

    def __call__(self) -> Recorder:
        self.protocols.append(Recorder())
        return self.protocols[-1]

    def connect(self, address: Any) -> socket.socket:
        family = socket.AF_UNIX if isinstance(address, str | bytes) else socket.AF_INET
        client = socket.socket(family)
        self.clients.append(client)
        client.connect(address)
        return client

    async def finish(self, reactor: Any, listener: Any, count: int) -> None:
        while len(self.protocols) < count:
            await later(reactor)
        await gather(*(protocol.made for protocol in self.protocols))
        for client in self.clients:
            client.close()
        await gather(*(protocol.lost for protocol in self.protocols))
        listener.close()


def test_each_connection_has_a_protocol_of_its_own(run: Run) -> None:
    async def main(reactor: Any) -> None:
        accepting = Accepting()
        listener = await reactor.listen_tcp("127.0.0.1", 0, accepting)
        assert verifyObject(IListener, listener)
        assert listener.address == listener.addresses[0]
        for _ in range(100):
            accepting.connect(listener.address)
        await accepting.finish(reactor, listener, 100)
        assert len({id(protocol) for protocol in accepting.protocols}) == 100
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            accepting.connect(listener.address)
        accepting.clients[-1].close()

    run(main)


class Failing:
    """A listening socket whose `accept` fails in given ways before it works."""

    def __init__(self, sock: socket.socket, codes: list[int]) -> None:
        self._sock = sock
        self._codes = codes

    def accept(self) -> Any:
        if self._codes:
            code = self._codes.pop(0)
            raise OSError(code, os.strerror(code))
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EBADF])
def test_r41_accepting_survives_a_lack_of_descriptors_with_a_pause(
    run: Run, code: int, monkeypatch: pytest.MonkeyPatch, reports: list[str]
) -> None:
    monkeypatch.setattr(listener_module, "EXHAUSTED_PAUSE", 1000.0)

    async def main(reactor: Any) -> None:
        accepting = Accepting()
        listener = await reactor.listen_tcp("127.0.0.1", 0, accepting)
        acceptor = listener._acceptors[0]
        acceptor.sock = Failing(acceptor.sock, [code, code])
        accepting.connect(listener.address)
        for failures in (1, 2):
            while len(list(reports)) < failures:
                await later(reactor)
            assert acceptor.interest == 0
            assert not accepting.protocols
            listener._exhausted_timer.reset(0.0)
        await accepting.finish(reactor, listener, 1)
        assert len(list(reports)) == 2
        assert os.strerror(code) in next(iter(reports))

    run(main)


def test_r41_a_connection_that_went_before_it_was_accepted_harms_nobody(run: Run, reports: list[str]) -> None:
    async def main(reactor: Any) -> None:
        accepting = Accepting()
        listener = await reactor.listen_tcp("127.0.0.1", 0, accepting)
        acceptor = listener._acceptors[0]
        acceptor.sock = Failing(acceptor.sock, [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN])
        accepting.connect(listener.address)
        await accepting.finish(reactor, listener, 1)
        assert list(reports) == []

    run(main)


def test_r41_real_exhaustion_of_descriptors_is_survived(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(listener_module, "EXHAUSTED_PAUSE", 0.002)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main(reactor: Any) -> None:
        accepting = Accepting()
        listener = await reactor.listen_tcp("127.0.0.1", 0, accepting)
        client = accepting.connect(listener.address)
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            while listener._exhausted_timer is None:
                await later(reactor)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await accepting.finish(reactor, listener, 1)

    run(main)


def test_closing_while_accepting_is_exhausted_forgets_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "EXHAUSTED_PAUSE", 0.001)

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        listener.exhausted(OSError(errno.EMFILE, "full"))
        listener.exhausted(OSError(errno.EMFILE, "full"))
        listener.resume()
        assert [acceptor.interest for acceptor in listener._acceptors] == [0]
        listener.pause()
        await later(reactor, 0.003)
        assert [acceptor.interest for acceptor in listener._acceptors] == [0]
        listener.exhausted(OSError(errno.EMFILE, "full"))
        listener.close()
        await later(reactor, 0.003)

    run(main)


def test_a_paused_listener_leaves_connections_in_the_queue(run: Run) -> None:
    async def main(reactor: Any) -> None:
        accepting = Accepting()
        listener = await reactor.listen_tcp("127.0.0.1", 0, accepting)
        listener.pause()
        accepting.connect(listener.address)
        await later(reactor, 0.002)
        assert accepting.protocols == []
        listener.resume()
        await accepting.finish(reactor, listener, 1)

    run(main)


def test_pausing_from_the_factory_stops_at_that_connection(run: Run) -> None:
    class Pausing(Accepting):
        listener: Any = None

        def __call__(self) -> Recorder:
            self.listener.pause()
            return super().__call__()

    async def main(reactor: Any) -> None:
        accepting = Pausing()
        listener = accepting.listener = await reactor.listen_tcp("127.0.0.1", 0, accepting)
        for _ in range(3):
            accepting.connect(listener.address)
        await later(reactor, 0.002)
        assert len(accepting.protocols) == 1
        listener.resume()
        await later(reactor, 0.002)
        assert len(accepting.protocols) == 2
        listener.resume()
        await accepting.finish(reactor, listener, 3)

    run(main)


def test_r41_a_factory_or_protocol_that_fails_harms_that_connection_only(
    run: Run, reports: list[str]
) -> None:
    class Faulty(Recorder):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            raise RuntimeError("bad protocol")

    async def main(reactor: Any) -> None:
        accepting = Accepting()
        made: list[Any] = []

        def factory() -> Any:
            made.append(None)
            if len(made) == 1:
                raise RuntimeError("bad factory")
            return Faulty() if len(made) == 2 else accepting()

        listener = await reactor.listen_tcp("127.0.0.1", 0, factory)
        for _ in range(3):
            accepting.connect(listener.address)
        await accepting.finish(reactor, listener, 1)
        assert list(reports) == [
            "the protocol factory of a listener failed: bad factory",
            "connection_made of Faulty failed: bad protocol",
        ]

    run(main)


def test_an_address_in_use_is_named_with_its_cause(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        port = listener.address[1]
        with pytest.raises(ListenError) as caught:
            await reactor.listen_tcp("127.0.0.1", port, Recorder)
        assert str(caught.value) == f"cannot listen at 127.0.0.1:{port}: Address already in use"
        listener.close()

    run(main)


def test_a_port_can_be_shared_by_wish(run: Run) -> None:
    async def main(reactor: Any) -> None:
        first = await reactor.listen_tcp("127.0.0.1", 0, Recorder, reuse_port=True)
        second = await reactor.listen_tcp("127.0.0.1", first.address[1], Recorder, reuse_port=True)
        assert first.address == second.address
        first.close()
        second.close()

    run(main)


@pytest.mark.parametrize("host", [None, ""])
def test_no_host_means_every_interface_at_one_port(run: Run, host: str | None) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp(host, 0, Recorder)
        assert "0.0.0.0" in [address[0] for address in listener.addresses]
        assert len({address[1] for address in listener.addresses}) == 1
        listener.close()

    run(main)


def test_several_addresses_share_one_free_port() -> None:
    addresses = [(INET, ("127.0.0.1", 0)), (INET, ("127.0.0.2", 0))]
    socks = bind_all(addresses, 0, 1, False)
    ports = {sock.getsockname()[1] for sock in socks}
    assert len(socks) == 2
    assert len(ports) == 1
    for sock in socks:
        sock.close()


def test_another_port_is_tried_when_the_first_one_is_taken_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def binding(family: int, address: Any, backlog: int, reuse_port: bool) -> socket.socket:
        calls.append(address)
        if len(calls) == 2:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return bind_tcp(family, address, backlog, reuse_port)

    monkeypatch.setattr(listener_module, "bind_tcp", binding)
    socks = bind_all([(INET, ("127.0.0.1", 0)), (INET, ("127.0.0.2", 0))], 0, 1, False)
    assert len(calls) == 4
    for sock in socks:
        sock.close()


def test_an_address_that_the_machine_does_not_have_is_left_out_if_another_works() -> None:
    works, missing = (INET, ("127.0.0.1", 0)), (INET, ("198.51.100.1", 0))
    socks = bind_all([missing, works], 0, 1, False)
    assert [sock.getsockname()[0] for sock in socks] == ["127.0.0.1"]
    port = socks[0].getsockname()[1]
    with pytest.raises(ListenError, match=r"198.51.100.1:0: Cannot assign"):
        bind_all([missing], 0, 1, False)
    with pytest.raises(ListenError, match="in use"):
        bind_all([missing, (INET, ("127.0.0.1", port))], port, 1, False)
    socks[0].close()


def test_ipv6_sockets_leave_ipv4_alone() -> None:
    sock = bind_tcp(INET6, ("::1", 0, 0, 0), 1, False)
    assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    assert not sock.get_inheritable()
    sock.close()


def test_r28_a_unix_socket_is_never_open_to_more_than_its_mode(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        path = tmp_path / "socket"
        accepting = Accepting()
        listener = await reactor.listen_unix(str(path), accepting, mode=0o600)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(ListenError, match=r"socket: Address already in use"):
            await reactor.listen_unix(str(path), accepting)
        accepting.connect(str(path))
        await accepting.finish(reactor, listener, 1)
        assert not path.exists()

    run(main)


def test_closing_leaves_a_file_that_another_has_put_in_its_place(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        path = tmp_path / "socket"
        listener = await reactor.listen_unix(bytes(path), Recorder)
        path.rename(tmp_path / "moved")
        path.write_text("another's")
        listener.close()
        assert path.read_text() == "another's"
        listener = await reactor.listen_unix(str(tmp_path / "second"), Recorder)
        (tmp_path / "second").unlink()
        listener.close()

    run(main)


def test_an_abstract_socket_has_no_file(run: Run) -> None:
    async def main(reactor: Any) -> None:
        name = f"\0sshkit-test-{os.getpid()}"
        accepting = Accepting()
        listener = await reactor.listen_unix(name, accepting, mode=0o600)
        accepting.connect(name)
        await accepting.finish(reactor, listener, 1)

    run(main)


def test_closing_the_reactor_closes_listeners() -> None:
    from sshkit.reactor import new_reactor

    reactor = new_reactor("native")

    async def main() -> Any:
        return await reactor.listen_tcp("127.0.0.1", 0, Recorder)

    listener = reactor.run_until(main())
    reactor.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.address)
