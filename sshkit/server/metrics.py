"""What a server counts, in Prometheus' text format 0.0.4 (its documentation, "Exposition formats").

The server adds to the counters as things happen and lends gauges as functions, which are asked when
somebody looks.  Labels take values of known lists only: never a name that a peer chose.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

#: Values of a label that are not in its list are counted under this one.
OTHER: Final = "other"
MAX_VALUES: Final = 200  #: of one label, those of algorithms included
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ACCEPTED: Final = "accepted"
REFUSALS: Final = ("max_startups", "per_source", "penalty", "closing", "proxy_header", "refused_by_config")
METHODS: Final = (
    "none",
    "publickey",
    "password",
    "keyboard-interactive",
    "hostbased",
    "gssapi-with-mic",
)
OUTCOMES: Final = ("success", "failure", "partial")
SESSIONS: Final = ("shell", "command", "sftp", "subsystem")
CHANNELS: Final = (
    "session",
    "direct-tcpip",
    "forwarded-tcpip",
    "direct-streamlocal",
    "forwarded-streamlocal",
    "x11",
    "auth-agent",
    "tun",
)
DIRECTIONS: Final = ("in", "out")


class Counter:
    """One number that only grows, or one a combination of labels' values."""

    __slots__ = ("_allowed", "_labels", "_values", "kind", "name", "text")

    def __init__(
        self, name: str, text: str, labels: Mapping[str, Iterable[str]] | None = None, kind: str = "counter"
    ) -> None:
        self.name = name
        self.text = text
        self.kind = kind
        self._labels = tuple(labels or ())
        self._allowed = tuple(frozenset((*values, OTHER)) for values in (labels or {}).values())
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, amount: float = 1, /, *values: str) -> None:
        """Add to the number with these values of the labels, in their order."""
        key = tuple(
            value if value in allowed else OTHER for value, allowed in zip(values, self._allowed, strict=True)
        )
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, *values: str) -> float:
        """Return the number with these values of the labels."""
        return self._values.get(values, 0)

    def take(self) -> dict[tuple[str, ...], float]:
        """Return what was counted since the last time, and count from nothing again."""
        taken = self._values
        self._values = {} if self._labels else {(): 0}
        return taken

    def samples(self) -> "Iterable[tuple[str, float]]":
        """Return names with labels, and numbers."""
        for values, number in sorted(self._values.items()):
            pairs = ",".join(
                f'{label}="{escape_label(value)}"' for label, value in zip(self._labels, values, strict=True)
            )
            yield (f"{self.name}{{{pairs}}}" if pairs else self.name), number


class Gauge:
    """One number that somebody tells when asked; a number for each value of one label, if there is one."""

    __slots__ = ("_ask", "_label", "kind", "name", "text")

    def __init__(
        self,
        name: str,
        text: str,
        ask: "Callable[[], float | Mapping[str, float]]",
        label: str = "",
        kind: str = "gauge",
    ) -> None:
        self.name = name
        self.text = text
        self.kind = kind
        self._ask = ask
        self._label = label

    def samples(self) -> "Iterable[tuple[str, float]]":
        """Return names with labels, and numbers."""
        found = self._ask()
        if isinstance(found, Mapping):
            for value, number in sorted(found.items())[:MAX_VALUES]:
                yield f'{self.name}{{{self._label}="{escape_label(value)}"}}', number
        else:
            yield self.name, found


class Metrics:
    """All that one server counts.  `started` is the time of its start, seconds since 1970."""

    __slots__ = (
        "_series",
        "channels",
        "connections",
        "key_exchanges",
        "logins",
        "refused",
        "sessions",
        "traffic",
    )

    def __init__(self, *, key_exchanges: Iterable[str] = (), started: float | None = None) -> None:
        if started is None:
            from time import time

            started = time()
        start = started
        self.connections = Counter("sshkit_connections_total", "Connections that were let begin.")
        self.refused = Counter(
            "sshkit_connections_refused_total",
            "Connections that were refused before a word, by cause.",
            {"cause": REFUSALS},
        )
        self.logins = Counter(
            "sshkit_logins_total",
            "Requests to log in, by method and outcome.",
            {"method": METHODS, "outcome": OUTCOMES},
        )
        self.sessions = Counter(
            "sshkit_sessions_total", "Sessions that began, by what runs in them.", {"kind": SESSIONS}
        )
        self.channels = Counter(
            "sshkit_channels_open", "Channels that are open, by type.", {"type": CHANNELS}, kind="gauge"
        )
        self.traffic = Counter(
            "sshkit_bytes_total",
            "Bytes of connections that have ended, by direction.",
            {"direction": DIRECTIONS},
        )
        self.key_exchanges = Counter(
            "sshkit_key_exchanges_total",
            "First key exchanges of connections that have ended, by algorithm.",
            {"algorithm": tuple(key_exchanges)[:MAX_VALUES]},
        )
        self._series: list[Counter | Gauge] = [
            self.connections,
            self.refused,
            self.logins,
            self.sessions,
            self.channels,
            self.traffic,
            self.key_exchanges,
            Gauge("process_start_time_seconds", "When the process started, since 1970.", lambda: start),
            Gauge(
                "process_cpu_seconds_total",
                "Seconds of processor time that were used.",
                _processor_seconds,
                kind="counter",
            ),
            Gauge("process_open_fds", "Descriptors that are open.", _descriptors),
            Gauge("process_max_fds", "Descriptors that may be open.", _most_descriptors),
        ]

    def lend(
        self, name: str, text: str, ask: "Callable[[], float | Mapping[str, float]]", label: str = ""
    ) -> None:
        """Add a gauge: `ask()` gives its number, or with `label` one a value of it.

        The server lends: connections here now, those that are not logged in, penalties in force.
        """
        self._series.append(Gauge(f"sshkit_{name}", text, ask, label))

    def channel(self, kind: str, change: int) -> None:
        """Count one channel more (1) or less (-1); `kind` is what the protocol calls it."""
        self.channels.add(change, kind.partition("@")[0])

    def take(self) -> list[tuple[str, tuple[str, ...], float]]:
        """Return what was counted since the last time: a worker sends it to the process that is asked."""
        counters = [series for series in self._series if isinstance(series, Counter)]
        return [
            (one.name, values, number) for one in counters for values, number in one.take().items() if number
        ]

    def put(self, taken: Iterable[tuple[str, tuple[str, ...], float]]) -> None:
        """Add what a worker has taken."""
        counters = {series.name: series for series in self._series if isinstance(series, Counter)}
        for name, values, number in taken:
            counters[name].add(number, *values)

    def render(self) -> bytes:
        """Return all of it as text."""
        lines: list[str] = []
        for series in self._series:
            lines.append(f"# HELP {series.name} {escape_help(series.text)}")
            lines.append(f"# TYPE {series.name} {series.kind}")
            lines += [f"{name} {_number(number)}" for name, number in series.samples()]
        return ("\n".join(lines) + "\n").encode()


def escape_label(value: str) -> str:
    """Escape the value of a label."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def escape_help(text: str) -> str:
    """Escape a text of help."""
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    return repr(value) if value != int(value) else str(int(value))


def _processor_seconds() -> float:
    from time import process_time

    return process_time()


def _descriptors() -> float:
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # without the one that reads the folder
    except OSError:
        return 0


def _most_descriptors() -> float:
    from resource import RLIMIT_NOFILE, getrlimit

    return getrlimit(RLIMIT_NOFILE)[0]
