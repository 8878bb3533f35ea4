"""Connecting and resolving: first come first served, deadlines, and errors that name everything."""

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import CancelledError, Deferred, succeed
from sshkit.reactor import connector, resolver
from sshkit.reactor.connector import interleaved
from sshkit.reactor.errors import ConnectError, ConnectTimeout, ResolveError, ResolveTimeout
from sshkit.reactor.resolver import look_up, numeric_address
from sshkit.reactor.text import shown, shown_address, shown_error

from .helpers import Hang, Recorder, later

Run = Callable[[Any], Any]
INET, INET6 = int(socket.AF_INET), int(socket.AF_INET6)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def resolving_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    answer = [(INET, address) for address in addresses]
    monkeypatch.setattr(connector, "resolve", lambda *args: succeed(answer))


def test_a_refused_connection_names_host_port_address_and_cause(run: Run) -> None:
    port = free_port()

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectError) as caught:
            await reactor.connect_tcp("localhost", port, Recorder, family=socket.AF_INET)
        text = f"cannot connect to localhost port {port}: 127.0.0.1:{port}: Connection refused"
        assert str(caught.value) == text
        [(address, error)] = caught.value.attempts
        assert address == f"127.0.0.1:{port}"
        assert isinstance(error, ConnectionRefusedError)
        assert caught.value.__cause__ is error

    run(main)


def test_every_address_that_was_tried_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = free_port(), free_port()
    resolving_to(monkeypatch, ("127.0.0.1", first), ("127.0.0.1", second))

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectError) as caught:
            await reactor.connect_tcp("many", 1, Recorder)
        assert f"127.0.0.1:{first}: Connection refused; 127.0.0.1:{second}: Conn" in str(caught.value)

    run(main)


def test_a_silent_address_does_not_hold_up_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch, hang: Hang
) -> None:
    monkeypatch.setattr(connector, "ATTEMPT_DELAY", 0.001)

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        resolving_to(monkeypatch, hang.address, listener.address, ("127.0.0.1", 1))
        client = await reactor.connect_tcp("two", 1, Recorder)
        assert client.transport.get_extra_info("peername") == listener.address
        client.transport.close()
        await client.lost
        listener.close()

    run(main)


def test_a_refused_address_is_followed_by_the_next_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "ATTEMPT_DELAY", 1000.0)

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        resolving_to(monkeypatch, ("127.0.0.1", free_port()), listener.address)
        client = await reactor.connect_tcp("two", 1, Recorder)
        client.transport.close()
        await client.lost
        listener.close()

    run(main)


def test_a_refusal_while_another_address_is_silent_waits_for_that_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, hang: Hang
) -> None:
    monkeypatch.setattr(connector, "ATTEMPT_DELAY", 0.001)
    resolving_to(monkeypatch, hang.address, ("127.0.0.1", free_port()))

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectTimeout) as caught:
            await reactor.connect_tcp("two", 1, Recorder, timeout=0.05)
        assert "refused; " in str(caught.value)
        assert str(caught.value).endswith(f"127.0.0.1:{hang.address[1]}: no answer")

    run(main)


def test_connecting_has_a_deadline_that_names_who_did_not_answer(run: Run, hang: Hang) -> None:
    host, port = hang.address

    async def main(reactor: Any) -> None:
        with pytest.raises(TimeoutError) as caught:
            await reactor.connect_tcp(host, port, Recorder, timeout=0.01)
        assert str(caught.value) == (
            f"cannot connect to {host} port {port} within 0.01 seconds: {host}:{port}: no answer"
        )
        assert isinstance(caught.value, ConnectTimeout)

    run(main)


def test_the_deadline_holds_while_the_name_is_looked_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[Any] = []
    monkeypatch.setattr(connector, "resolve", lambda *args: Deferred(cancelled.append))

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectTimeout, match="the host name was not resolved in time"):
            await reactor.connect_tcp("slow", 22, Recorder, timeout=0.01)
        assert len(cancelled) == 1

    run(main)


def test_cancelling_closes_every_attempt(run: Run, monkeypatch: pytest.MonkeyPatch, hang: Hang) -> None:
    resolving_to(monkeypatch, hang.address, hang.address)

    async def main(reactor: Any) -> None:
        before = set(reactor.pollables)
        connecting = reactor.connect_tcp("two", 1, Recorder)
        assert set(reactor.pollables) != before
        connecting.cancel()
        with pytest.raises(CancelledError):
            await connecting
        assert set(reactor.pollables) == before

    run(main)


def test_cancelling_while_the_name_is_looked_up_makes_no_attempt(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup: Deferred[Any] = Deferred(lambda deferred: deferred.callback([(INET, ("127.0.0.1", 1))]))
    monkeypatch.setattr(connector, "resolve", lambda *args: lookup)

    async def main(reactor: Any) -> None:
        before = set(reactor.pollables)
        connecting = reactor.connect_tcp("slow", 22, Recorder)
        connecting.cancel()
        with pytest.raises(CancelledError):
            await connecting
        assert set(reactor.pollables) == before

    run(main)


def test_the_local_address_is_the_one_asked_for(run: Run) -> None:
    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        port = listener.address[1]
        client = await reactor.connect_tcp("127.0.0.1", port, Recorder, local_address=("127.0.0.2", 0))
        assert client.transport.get_extra_info("sockname")[0] == "127.0.0.2"
        client.transport.close()
        await client.lost
        with pytest.raises(ConnectError, match="Cannot assign requested address"):
            await reactor.connect_tcp("127.0.0.1", port, Recorder, local_address=("198.51.100.1", 0))
        listener.close()

    run(main)


def test_a_factory_that_fails_is_told_to_who_connects(run: Run) -> None:
    def factory() -> None:
        raise RuntimeError("no protocol")

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_tcp("127.0.0.1", 0, Recorder)
        with pytest.raises(RuntimeError, match="no protocol"):
            await reactor.connect_tcp("127.0.0.1", listener.address[1], factory)
        listener.close()

    run(main)


def test_a_unix_socket_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "none")

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectError) as caught:
            await reactor.connect_unix(path, Recorder)
        assert str(caught.value) == f"cannot connect to {path}: {path}: No such file or directory"
        with pytest.raises(ConnectError, match="too long"):
            await reactor.connect_unix("x" * 200, Recorder)

    run(main)


def test_a_unix_socket_whose_queue_is_full_is_asked_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "FULL_QUEUE_DELAY", 0.001)
    path = str(tmp_path / "socket")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(0)
    filler = socket.socket(socket.AF_UNIX)
    filler.connect(path)

    async def main(reactor: Any) -> None:
        connecting = reactor.connect_unix(path, Recorder)
        await later(reactor, 0.003)
        assert not connecting.called
        server.accept()[0].close()
        client = await connecting
        client.transport.close()
        await client.lost

    run(main)
    server.close()
    filler.close()


def test_an_error_other_than_in_progress_ends_an_attempt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda self, address: errno.ENETUNREACH)
    resolving_to(monkeypatch, ("198.51.100.1", 1))

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectError, match="Network is unreachable"):
            await reactor.connect_tcp("far", 1, Recorder)

    run(main)


def test_a_name_without_addresses_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving_to(monkeypatch)

    async def main(reactor: Any) -> None:
        with pytest.raises(ConnectError, match="it has no address"):
            await reactor.connect_tcp("empty", 1, Recorder)

    run(main)


def test_closing_the_reactor_ends_attempts(hang: Hang) -> None:
    from sshkit.reactor import ReactorClosed, new_reactor

    reactor = new_reactor("native")
    connecting: list[Any] = []

    async def main() -> None:
        host, port = hang.address
        connecting.append(reactor.connect_tcp(host, port, Recorder))

    reactor.run_until(main())
    reactor.close()
    with pytest.raises(ReactorClosed):
        connecting[0].result()


def test_families_take_turns_the_first_ones_first() -> None:
    v4 = [(INET, (f"10.0.0.{n}", 1)) for n in (1, 2, 3)]
    v6 = [(INET6, ("::1", 1, 0, 0))]
    assert interleaved([*v4, *v6]) == [v4[0], v6[0], v4[1], v4[2]]
    assert interleaved([*v6, *v4]) == [v6[0], v4[0], v4[1], v4[2]]
    assert interleaved([]) == []


# -- resolving -------------------------------------------------------------------------------------


def test_a_name_is_looked_up(run: Run) -> None:
    async def main(reactor: Any) -> None:
        found = await reactor.resolve("localhost", 22, socket.AF_INET)
        assert found == [(INET, ("127.0.0.1", 22))]

    run(main)


def test_a_numeric_host_needs_no_thread(run: Run) -> None:
    async def main(reactor: Any) -> None:
        assert reactor.resolve("127.0.0.1", 1).result() == [(INET, ("127.0.0.1", 1))]
        assert reactor.resolve("::1", 2).result() == [(INET6, ("::1", 2, 0, 0))]

    run(main)


def test_a_numeric_host_of_another_family_is_not_taken() -> None:
    assert numeric_address("127.0.0.1", 1, INET6) is None
    assert numeric_address("::1", 1, INET6) == (INET6, ("::1", 1, 0, 0))
    assert numeric_address("local\udc80host", 1, 0) is None


def test_an_unknown_name_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main(reactor: Any) -> None:
        with pytest.raises(ResolveError, match=r"host no.invalid cannot be found: Name or service"):
            await reactor.resolve("no.invalid", 22)
        with pytest.raises(ConnectError, match=r"connect to no.invalid port 22: host no.invalid cannot be"):
            await reactor.connect_tcp("no.invalid", 22, Recorder)

    run(main)


def test_resolving_has_a_deadline(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release = threading.Event()
    monkeypatch.setattr(resolver, "look_up", lambda *args: release.wait(30))

    async def main(reactor: Any) -> None:
        with pytest.raises(ResolveTimeout, match=r"looking up host slow took longer than 0.01 seconds"):
            await reactor.resolve("slow", 22, timeout=0.01)
        release.set()

    run(main)


@pytest.mark.parametrize("host", ["", "a\0b", "a" * 70 + "é", "\udc80"])
def test_r39_what_is_no_host_name_is_refused_before_it_is_looked_up(run: Run, host: str) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ResolveError, match="is not a host name") as caught:
            await reactor.resolve(host, 22)
        assert "\0" not in str(caught.value)

    run(main)


def test_a_name_in_another_script_is_asked_for_in_its_ascii_form(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def getaddrinfo(host: Any, *args: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 1))] * 2

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert look_up("bücher.example", 1, 0, False) == [(INET, ("10.0.0.1", 1))]
    look_up("", 1, 0, True)
    assert asked == [b"xn--bcher-kva.example", None]


# -- text ------------------------------------------------------------------------------------------


def test_r36_control_and_direction_characters_are_shown_escaped() -> None:
    assert shown("a\x1b[2J\n\u202eb\x9b") == "a\\x1b[2J\\n\\u202eb\\x9b"
    assert shown(b"\xff\x00ok") == "\\xff\\x00ok"


def test_addresses_are_shown_as_people_write_them() -> None:
    assert shown_address(("10.0.0.1", 22)) == "10.0.0.1:22"
    assert shown_address(("::1", 22, 0, 0)) == "[::1]:22"
    assert shown_address("/run/x") == "/run/x"
    assert shown_address(b"\0x") == "\\x00x"
    assert shown_address(None) == "None"


def test_errors_are_shown_without_their_numbers() -> None:
    assert shown_error(OSError(errno.ECONNREFUSED, "Connection refused")) == "Connection refused"
    assert shown_error(ValueError("bad\n")) == "bad\\n"
    assert shown_error(ValueError()) == "ValueError"
