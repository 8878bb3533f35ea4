"""The numbers of a server: what is counted, how it is written, and who gets it."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.reactor.current import current
from sshkit.server import metrics as metrics_module
from sshkit.server.metrics import MAX_VALUES, OTHER, Counter, Gauge, Metrics
from sshkit.server.metrics_endpoint import (
    DEADLINE,
    MAX_CONNECTIONS,
    MAX_REQUEST,
    Endpoint,
    is_loopback,
    serve_metrics,
)
from sshkit.ssh.errors import LocalProtocolError
from sshkit.testing import MemoryClock, connect_in_memory
from tests.server.real_ssh import run_here

#: The grammar of the format: a name, labels, a number.
LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{{{LABEL}(?:,{LABEL})*\}})? (-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
)


def parse(text: str) -> dict[str, float]:
    """Read the format strictly: HELP, TYPE, then the samples of that name, and nothing else."""
    found: dict[str, float] = {}
    name = ""
    lines = text.split("\n")
    assert lines.pop() == ""
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split()[2]
        elif line.startswith("# TYPE "):
            assert line in (f"# TYPE {name} counter", f"# TYPE {name} gauge")
        else:
            match = SAMPLE.fullmatch(line)
            assert match is not None, line
            assert match[1] == name
            assert line.rpartition(" ")[0] not in found
            found[line.rpartition(" ")[0]] = float(match[3])
    return found


def test_what_is_counted_is_rendered_by_the_formats_grammar() -> None:
    metrics = Metrics(key_exchanges=("curve25519-sha256",), started=1767225600.5)
    metrics.connections.add()
    metrics.connections.add()
    metrics.refused.add(1, "penalty")
    metrics.logins.add(1, "publickey", "success")
    metrics.sessions.add(1, "shell")
    metrics.channel("session", 1)
    metrics.channel("direct-streamlocal@openssh.com", 1)
    metrics.channel("session", -1)
    metrics.traffic.add(12345, "in")
    metrics.key_exchanges.add(1, "curve25519-sha256")
    metrics.lend("penalties", "Sources that are penalised.", lambda: 3)
    metrics.lend("workers", 'Work\\ers\n"now".', lambda: {'a"\\\nb': 1.25, "c": 2}, "state")
    text = metrics.render().decode()
    assert r"# HELP sshkit_workers Work\\ers\n" in text
    found = parse(text)
    expected = {
        "sshkit_connections_total": 2,
        'sshkit_connections_refused_total{cause="penalty"}': 1,
        'sshkit_logins_total{method="publickey",outcome="success"}': 1,
        'sshkit_sessions_total{kind="shell"}': 1,
        'sshkit_channels_open{type="session"}': 0,
        'sshkit_channels_open{type="direct-streamlocal"}': 1,
        'sshkit_bytes_total{direction="in"}': 12345,
        'sshkit_key_exchanges_total{algorithm="curve25519-sha256"}': 1,
        "process_start_time_seconds": 1767225600.5,
        "sshkit_penalties": 3,
        r'sshkit_workers{state="a\"\\\nb"}': 1.25,
        'sshkit_workers{state="c"}': 2,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_open_fds"] >= 3
    assert found["process_max_fds"] >= found["process_open_fds"]


def test_r18_names_that_a_peer_chose_make_no_new_numbers() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.logins.add(1, f"method{number}", "failure")
        metrics.channel(f"kind{number}", 1)
        metrics.key_exchanges.add(1, f"kex{number}")
    assert metrics.logins.value(OTHER, "failure") == 1000
    assert len(metrics.render()) < 5000
    many = Metrics(key_exchanges=[f"kex{number}" for number in range(1000)])
    for number in range(1000):
        many.key_exchanges.add(1, f"kex{number}")
    assert len(list(many.key_exchanges.samples())) == MAX_VALUES + 1
    wide = Gauge("x", "x", lambda: {str(number): number for number in range(1000)}, "n")
    assert len(list(wide.samples())) == MAX_VALUES


def test_a_counter_wants_a_value_for_each_label() -> None:
    counter = Counter("x", "x", {"a": ("1",), "b": ("2",)})
    with pytest.raises(ValueError, match="zip"):
        counter.add(1, "1")


def test_what_workers_count_comes_together() -> None:
    worker, whole = Metrics(), Metrics()
    for _ in range(3):
        worker.connections.add()
        worker.logins.add(1, "password", "failure")
        worker.channel("x11", 1)
        whole.put(worker.take())
    assert worker.take() == []
    assert whole.connections.value() == 3
    assert whole.logins.value("password", "failure") == 3
    assert whole.channels.value("x11") == 3


def test_where_there_is_no_proc_the_descriptors_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", missing)
    assert metrics_module._descriptors() == 0
    assert Metrics().render()


class Browser:
    """Whoever asks."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = b""
        self.ended = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: BaseException | None) -> None:
        self.ended = True

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class Scene:
    """An endpoint in memory."""

    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.endpoint = Endpoint(Metrics(started=1.0), self.clock)

    def open(self) -> tuple[Browser, Any]:
        browser = Browser()
        return browser, connect_in_memory(browser, self.endpoint.make_protocol(), self.clock)

    def ask(self, request: bytes, step: int | None = None) -> bytes:
        browser, pair = self.open()
        if step is not None:
            pair.chop = lambda: step
        browser.transport.write(request)
        pair.settle()
        assert browser.ended
        assert self.endpoint.connections == 0
        assert self.clock.next_due() is None
        return browser.data


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("path", [b"/metrics", b"/", b"/metrics?x=1"])
def test_the_numbers_are_given_to_whoever_asks(path: bytes, step: int | None) -> None:
    head, _, body = Scene().ask(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path, step).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 200 OK"
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert "sshkit_connections_total" in parse(body.decode())


def test_head_gives_no_body() -> None:
    answer = Scene().ask(b"HEAD /metrics HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /secret HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /metrics SSH/2.0\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"\xff" * 100 + b"\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * MAX_REQUEST, b"431"),
        (b"x" * 10 * MAX_REQUEST, b"431"),
        (b"GET /metrics HTTP/1.1\r\n\r\n" * 3, b"200"),
    ],
)
def test_r18_hostile_requests_get_one_small_answer(request_bytes: bytes, status: bytes) -> None:
    answer = Scene().ask(request_bytes)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1
    assert answer.startswith(b"HTTP/1.1 405") == (b"Allow: GET, HEAD\r\n" in answer)


def test_r42_a_request_that_does_not_come_ends_the_connection() -> None:
    scene = Scene()
    browser, pair = scene.open()
    for _ in range(9):
        browser.transport.write(b"x")
        pair.settle()
        scene.clock.advance(DEADLINE / 10)
    scene.clock.advance(DEADLINE / 10)
    pair.settle()
    assert browser.ended
    assert scene.endpoint.connections == 0


def test_r42_only_so_many_may_ask_at_once() -> None:
    scene = Scene()
    open_ones = [scene.open() for _ in range(MAX_CONNECTIONS)]
    browser, pair = scene.open()
    browser.transport.write(b"GET / HTTP/1.1\r\n\r\n")
    pair.settle()
    assert browser.ended
    assert browser.data == b""
    scene.endpoint.make_protocol().data_received(b"GET / HTTP/1.1\r\n\r\n")  # as asyncio may do after abort
    assert scene.endpoint.connections == MAX_CONNECTIONS
    for one, its_pair in open_ones:
        one.transport.close()
        its_pair.settle()
    assert scene.endpoint.connections == 0


def test_r28_addresses_that_others_reach_are_refused_unless_wanted() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert is_loopback(host)
    reactor: Any = MemoryClock()
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com", "", "127.0.0.1.example.com"):
        assert not is_loopback(host)
        with pytest.raises(LocalProtocolError, match="only this machine"):
            serve_metrics(reactor, Metrics(), (host, 0))


@pytest.mark.peer("curl")
def test_curl_gets_them_over_tcp_and_over_a_socket_that_is_the_users_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "metrics")

    async def main() -> None:
        reactor: Any = current()
        metrics = Metrics()
        tcp = await serve_metrics(reactor, metrics, ("127.0.0.1", 0))
        everywhere = await serve_metrics(reactor, metrics, ("0.0.0.0", 0), anywhere=True)
        unix = await serve_metrics(reactor, metrics, path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        url = "http://127.0.0.1:{}/metrics"
        for line in (
            (url.format(tcp.address[1]),),
            (url.format(everywhere.address[1]),),
            ("--unix-socket", path, "http://localhost/metrics"),
        ):
            done = await run_here("curl", "-sS", "--fail", *line, no_proxy="*")
            assert done.returncode == 0, done.stderr
            assert "sshkit_connections_total" in parse(done.stdout.decode())
        nothing = f"http://127.0.0.1:{tcp.address[1]}/x"
        missing = await run_here("curl", "-sS", "--fail", nothing, no_proxy="*")
        assert b"404" in missing.stderr
        for listener in (tcp, everywhere, unix):
            listener.close()

    sshkit.run(main(), engine="native")
