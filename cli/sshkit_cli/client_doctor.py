"""``sshkit-client doctor HOST``: connects as usual, tells each step, what failed, why, and what to change.

Called by `client`.  It takes ssh's own options; ``--json`` prints one object for programs.  Nothing is run on
the host: a session is opened and closed, forwards of the configuration are tried and ended.
"""

import json
import os
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.client.advice import Advice, advise
from sshkit.client.configured import make_connection, open_target
from sshkit.client.connection import ClientConnection
from sshkit.client.steps import Step, steps_of
from sshkit.client.target import Target
from sshkit.config.parser import COMMAND_LINE
from sshkit.config.shown import shown_value
from sshkit.config.without_effect import SAY
from sshkit.deferred import CancelledError, ensure_deferred, set_unhandled_handler
from sshkit.reactor.errors import ResolveError
from sshkit.ssh.connection.protocol import ChannelProtocol
from sshkit.ssh.transport.weak_choices import weak_choices

from .client_forwards import Forwards
from .client_run import CommandReactor
from .client_setup import load_target
from .log import Log
from .options import UsageError, parse
from .prompts import Prompter
from .questions import Questions

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

USAGE: Final = "usage: sshkit-client doctor [--json] [ssh options] destination"
FAILED: Final = 255
#: Seconds for each thing that is asked of a server that has let us in.
PATIENCE: Final = 30.0


class Doctor:
    """One examination."""

    def __init__(self, argv: list[str], log: Log) -> None:
        self._as_json = "--json" in argv
        self._argv = [word for word in argv if word != "--json"]
        self._log = log
        self._reactor = CommandReactor(log)
        self._prompter = Prompter(cast("Reactor", self._reactor), log.info, os.environ)
        self._target: Target | None = None
        self._connection: ClientConnection | None = None
        self.steps: list[Step] = []
        self.error: BaseException | None = None
        self.advice: Advice | None = None

    def run(self) -> int:
        """Examine; returns 0 if all is well, else 255."""
        before = set_unhandled_handler(lambda failure, places: self._log.debug(f"unhandled: {failure}"))
        try:
            self._reactor.run_until(ensure_deferred(self._examine()))
        except UsageError as error:
            self._log.error(f"{error}\n{USAGE}")
            return FAILED
        finally:
            self._prompter.restore()
            if self._connection is not None:
                self._connection.layer.disconnect()
            self._reactor.close()
            set_unhandled_handler(before)
        self._show()
        return FAILED if self.error is not None else 0

    async def _examine(self) -> None:
        try:
            await self._connect()
        except UsageError:
            raise
        except (SSHKitError, OSError, CancelledError) as error:
            self.error = error
            self.advice = advise(error, self._target)
            known = steps_of(error)
            first = (str(error) or type(error).__name__).splitlines()[0]
            if not known:
                where = "name" if isinstance(error, ResolveError) else "address"
                known = (Step("configuration" if self._target is None else where, False, first),)
            self._add(*known)

    async def _connect(self) -> None:
        typed = parse(self._argv)
        self._target = target = load_target(typed)
        self._tell_settings(target)
        await self._look_up(target)
        reactor = cast("Reactor", self._reactor)
        asking = Questions(target, self._prompter, self._log)
        self._connection = connection = make_connection(target, reactor, asking)
        await open_target(connection, target, reactor, asking)
        self._add(*steps_of(connection))
        for text in weak_choices(connection.negotiated):
            self._add(Step("algorithms", None, text))
        await self._try_session(connection)
        await self._try_forwards(connection, target)

    def _add(self, *steps: Step) -> None:
        self.steps += steps

    def _tell_settings(self, target: Target) -> None:
        options = target.options
        for keyword, value, place in options.items():
            if place.line or place is COMMAND_LINE:
                self._add(Step("configuration", None, f"{keyword} {shown_value(keyword, value)} ({place})"))
        for kind, text in options.notes:
            if kind == SAY:
                self._add(Step("configuration", None, text))
        self._add(
            Step("configuration", True, f"{target.original} is {target.place}, user {printable(target.user)}")
        )

    async def _look_up(self, target: Target) -> None:
        options = target.options
        if options.proxy_command.value is not None:
            self._add(Step("name", None, "not looked up here: a command is the way (ProxyCommand)"))
        elif options.proxy_jump.value:
            self._add(
                Step("name", None, f"not looked up here: by way of {', '.join(options.proxy_jump.value)}")
            )
        else:
            found = await self._reactor.resolve(target.hostname, target.port, timeout=PATIENCE)
            addresses = ", ".join(dict.fromkeys(str(address[0]) for _, address in found))
            self._add(Step("name", True, f"{printable(target.hostname)} has {addresses}"))

    async def _try_session(self, connection: ClientConnection) -> None:
        opening = connection.open_session(ChannelProtocol())
        try:
            channel = await opening.add_timeout(PATIENCE, self._reactor, what="a session")
        except SSHKitError as error:
            self._add(Step("session", False, str(error)))
            return
        channel.close()
        self._add(Step("session", True, "the server opens sessions"))

    async def _try_forwards(self, connection: ClientConnection, target: Target) -> None:
        if target.options.clear_all_forwardings.value:
            return
        forwards = Forwards(connection, target, self._log)
        for setting in target.options.forwards:
            name = f"{setting.value.kind} {setting.value} ({setting.place})"
            try:
                running = await forwards.add(setting.value)
            except (SSHKitError, OSError) as error:
                self._add(Step("forward", False, f"{name}: {error}"))
            else:
                self._add(Step("forward", True, name))
                await running.close()

    def _show(self) -> None:
        log = self._log
        if self._as_json:
            log.output(f"{json.dumps(self.as_dict(), indent=2)}\n")
            return
        for step in self.steps:
            log.output(f"{step}\n")
        if self.error is None:
            log.output("All is well.\n")
            return
        log.output(f"\n{type(self.error).__name__}: {self.error}\n")
        if self.advice is not None:
            log.output(f"Why: {self.advice.why}.\n")
            log.output("".join(f"  - {text}\n" for text in self.advice.what))

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON wants it."""
        target, error, advice = self._target, self.error, self.advice
        return {
            "host": None if target is None else target.original,
            "hostname": None if target is None else target.hostname,
            "port": None if target is None else target.port,
            "user": None if target is None else target.user,
            "ok": error is None,
            "steps": [{"name": step.name, "ok": step.ok, "text": step.text} for step in self.steps],
            "error": None if error is None else {"type": type(error).__name__, "text": str(error)},
            "why": None if advice is None else advice.why,
            "what_to_do": [] if advice is None else list(advice.what),
        }


def main_doctor(argv: list[str], log: Log) -> int:
    """Run the command; returns the exit status."""
    return Doctor(argv, log).run()
