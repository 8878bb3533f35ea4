"""``sshkit-client --hosts FILE|h1,h2 [options] -- command``: one command on many hosts.

Called by `client`.  Each host is reached as ``sshkit-client HOST command`` would reach it, with its own
configuration, but nothing is asked: BatchMode is on.  Answers are printed as they come, each line with the
host in front, or as JSON, one object a line.
"""

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit.client.configured import make_connection, open_target
from sshkit.client.connection import ClientConnection
from sshkit.client.many import HOST_TIMEOUT, LIMIT, HostOutcome, HostRun, run_on_hosts
from sshkit.deferred import Deferred, ensure_deferred, fail, set_unhandled_handler

from .client_run import CommandReactor
from .client_setup import load_target
from .log import Log
from .options import UsageError, parse
from .prompts import Prompter
from .questions import Questions

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

USAGE: Final = """\
usage: sshkit-client --hosts FILE|host,... [--json] [--limit N] [--retries N] [--timeout SECONDS]
                     [--progress] [ssh options] -- command [argument ...]"""
FAILED: Final = 255
#: Descriptors that are kept for everything but connections.
SPARE: Final = 64


class Typed(NamedTuple):
    """What was typed."""

    hosts: tuple[str, ...]
    command: str
    options: tuple[str, ...]  #: ssh's own
    as_json: bool
    limit: int
    retries: int
    timeout: float
    progress: bool


def parse_hosts(argv: list[str]) -> Typed:
    """Read the command line; UsageError says what is wrong with it."""
    words = list(argv)
    if "--" not in words:
        raise UsageError("--hosts: the command stands behind --")
    at = words.index("--")
    words, command = words[:at], words[at + 1 :]
    if not command:
        raise UsageError("--hosts: no command")
    values = {"--hosts": "", "--limit": str(LIMIT), "--retries": "0", "--timeout": f"{HOST_TIMEOUT:g}"}
    flags = {"--json": False, "--progress": os.isatty(2)}
    options: list[str] = []
    index = 0
    while index < len(words):
        name, equals, value = words[index].partition("=")
        index += 1
        if name in flags:
            flags[name] = True
        elif name not in values:
            options.append(words[index - 1])
        elif equals:
            values[name] = value
        elif index < len(words):
            values[name] = words[index]
            index += 1
        else:
            raise UsageError(f"{name} needs an argument")
    return Typed(
        read_hosts(values["--hosts"]),
        " ".join(command),
        tuple(options),
        flags["--json"],
        int(_number(values, "--limit", 1)),
        int(_number(values, "--retries", 0)),
        _number(values, "--timeout", 0),
        flags["--progress"],
    )


def _number(values: dict[str, str], name: str, least: int) -> float:
    text = values[name]
    try:
        number = float(text) if name == "--timeout" else int(text)
    except ValueError:
        number = -1
    if not least <= number < 1e9:
        raise UsageError(f"{name}: {quoted(text)} is not a number from {least} on")
    return number


def read_hosts(text: str) -> tuple[str, ...]:
    """Return the hosts of a file (one a line, ``#`` begins a comment; ``-``: standard input) or a list."""
    if not text:
        raise UsageError("--hosts needs a file or a list")
    if text == "-":
        lines = sys.stdin.read().splitlines()
    elif os.path.isfile(text):
        with open(text, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    elif "/" in text:
        raise UsageError(f"--hosts: {quoted(text)}: the file does not exist")
    else:
        lines = text.split(",")
    hosts = tuple(dict.fromkeys(host for line in lines if (host := line.partition("#")[0].strip())))
    if not hosts:
        raise UsageError(f"--hosts: no hosts in {quoted(text)}")
    return hosts


class HostsCommand:
    """One run."""

    def __init__(self, typed: Typed, log: Log) -> None:
        self._typed = typed
        self._log = log
        self._reactor = CommandReactor(log)
        self._prompter = Prompter(cast("Reactor", self._reactor), log.info, os.environ)
        self._run: HostRun | None = None
        self._interrupted = False

    def run(self) -> int:
        """Do it; returns the exit status."""
        raise_descriptor_limit(self._typed.limit + SPARE)
        before = set_unhandled_handler(lambda failure, places: self._log.debug(f"unhandled: {failure}"))
        reactor = self._reactor
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                reactor.add_signal_handler(number, self._interrupt)
            return reactor.run_until(ensure_deferred(self._all()))
        finally:
            self._prompter.restore()
            reactor.close()
            set_unhandled_handler(before)

    async def _all(self) -> int:
        typed = self._typed
        status = ok = 0
        run = self._run = run_on_hosts(
            typed.hosts,
            typed.command,
            limit=typed.limit,
            timeout=typed.timeout,
            retries=typed.retries,
            connect_to=self._connect,
            reactor=cast("Reactor", self._reactor),
        )
        async for outcome in run:
            self._show(outcome)
            ok += outcome.ok
            if outcome.result is None or outcome.result.exit_status is None:
                status = FAILED
            elif not outcome.ok:
                status = max(status, 1)
            if typed.progress:
                self._log.notice(f"\r{len(run.outcomes)} of {len(typed.hosts)} hosts\x1b[K\r")
        done = len(run.outcomes)
        left = f", {len(typed.hosts) - done} left out" if done < len(typed.hosts) else ""
        if not typed.as_json:
            self._log.info(f"{done} hosts: {ok} ok, {done - ok} failed{left}")
        return FAILED if self._interrupted else status

    def _connect(self, host: str) -> "Deferred[ClientConnection]":
        try:
            target = load_target(parse(["-oBatchMode=yes", *self._typed.options, "--", host]))
            log = Log(level=min(self._log.level, target.options.log_level.value))
            asking = Questions(target, self._prompter, log)
            reactor = cast("Reactor", self._reactor)
            return open_target(make_connection(target, reactor, asking), target, reactor, asking)
        except (SSHKitError, OSError) as error:
            return fail(error)

    def _show(self, outcome: HostOutcome) -> None:
        log, host = self._log, printable(outcome.host)
        if self._typed.as_json:
            log.output(f"{json.dumps(outcome.as_dict(), ensure_ascii=True)}\n")
            return
        result = outcome.result
        if result is not None:
            log.output(_prefixed(host, result.stdout))
            log.notice(_prefixed(host, result.stderr))
            if result.exit_status != 0:
                how = f"signal {result.exit_signal}" if result.exit_signal else f"status {result.exit_status}"
                log.info(f"{host}: ended with {how}")
        elif outcome.error is not None:
            log.info(f"{host}: {str(outcome.error).splitlines()[0] if str(outcome.error) else 'failed'}")

    def _interrupt(self) -> None:
        self._interrupted = True
        if self._run is not None:
            self._run.close()


def _prefixed(host: str, data: bytes) -> str:
    """Return lines with the host in front, made harmless for a terminal."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(f"{host}: {printable(line, 1 << 20, keep=chr(9))}\n" for line in text.splitlines())


def raise_descriptor_limit(wanted: int) -> None:
    """Let this process have so many descriptors, as far as the system lets it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def main_hosts(argv: list[str], log: Log) -> int:
    """Run the command; returns the exit status."""
    try:
        typed = parse_hosts(argv)
    except UsageError as error:
        log.error(f"{error}\n{USAGE}")
        return FAILED
    except OSError as error:
        log.error(f"--hosts: {printable(str(error.filename or 'cannot be read'), 4096)}: {error.strerror}")
        return FAILED
    return HostsCommand(typed, log).run()
