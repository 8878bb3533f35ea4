"""The run of sshkit-copy-id: try which keys let in already, then append the others over one session.

Called by `copy_id`.  It runs on the native engine, with sshkit-client's configuration, host key checks and
questions.  A key is tried by asking whether it would be accepted (RFC 4252 section 7), all on one connection:
no private key is needed for that, no passphrase, and the host counts one visitor.
"""

import os
import shlex
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.client.configured import make_connection, open_target
from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.target import algorithms_of, identities_of, methods_of
from sshkit.deferred import Deferred, Failure, ensure_deferred
from sshkit.ssh.algorithms import Algorithms
from sshkit.ssh.authentication.client import Identity
from sshkit.ssh.errors import AuthenticationFailed, ConnectionLost

from .client_run import ENDING_SIGNALS, CommandReactor, tell_error
from .client_setup import load_target, tell_settings
from .copy_id import FAILED, PROGRAM, Options
from .copy_id_keys import KeyLine, agent_keys, newest_file, public_file, read_file
from .copy_id_script import COMMAND, install_script, read_report
from .log import ERROR, Log
from .options import UsageError as ClientUsageError
from .options import parse
from .prompts import Prompter
from .questions import Questions

if TYPE_CHECKING:
    from sshkit_keys.key import PublicKey

    from sshkit.interfaces import Reactor
    from sshkit.ssh.authentication.client import Credentials

#: Seconds for the script on the host.
INSTALL_TIMEOUT: Final = 120.0
MAX_OUTPUT: Final = 1 << 20
MAX_SHOWN: Final = 20  #: lines of the host's output
MAX_TRIES: Final = 32  #: keys that are tried on one connection


class CopyLog(Log):
    """Messages by the name of this command, worded as ssh-copy-id's."""

    def error(self, text: str) -> None:
        if self.level >= ERROR:
            self._write(f"\n{PROGRAM}: ERROR: {text}\n\n")

    def tell(self, kind: str, text: str) -> None:
        """Say something that is INFO or a WARNING."""
        if self.level >= ERROR:
            self._write(f"{PROGRAM}: {kind}: {text}\n")


class TryCredentials:
    """Keys to be asked about, and nothing to prove anything with."""

    interactive_tries = 0

    def __init__(self, keys: Sequence[KeyLine], accepted: Callable[[KeyLine], None]) -> None:
        self.identities = [
            Identity(key.public, printable(key.comment), None, lambda key=key: accepted(key))  # type: ignore[misc]
            for key in keys
            if key.public is not None
        ]

    def password(self) -> None:
        """There is none."""

    def answers(self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]) -> None:
        """There are none."""

    def show_banner(self, text: str) -> None:
        """It is shown when the keys are installed."""


class Run:
    """One run of the command."""

    def __init__(self, options: Options) -> None:
        self._options = options
        try:
            typed = parse([*options.client, "--", options.host])
        except ClientUsageError as error:
            raise SSHKitError(str(error)) from None
        self._target = target = load_target(typed)
        self._log = CopyLog(target.options.log_level.value)
        self._reactor = CommandReactor(self._log)
        self._prompter = Prompter(cast("Reactor", self._reactor), self._log.info, os.environ)
        self._algorithms = algorithms_of(target.options, self._log.debug)
        self._connection: ClientConnection | None = None
        self._asking: Questions | None = None
        self._host_key: PublicKey | None = None  #: as the first connection has verified it
        self._source: str | None = None  #: the file of -i, without .pub
        self._done: Deferred[int] = Deferred()
        self._died_by: int | None = None

    def run(self) -> int:
        """Do it all; returns the exit status."""
        try:
            for number in ENDING_SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._reactor.add_signal_handler(number, lambda number=number: self._signalled(number))
            work = ensure_deferred(self._main())
            work.add_both(self._ended)
            return self._reactor.run_until(self._done)
        except (SSHKitError, OSError) as error:
            # Before there is a connection, what went wrong has nothing to do with the host.
            tell_error(error, self._target if self._connection is not None else None, self._log)
            return FAILED
        finally:
            self._prompter.restore()
            if self._connection is not None:
                self._connection.layer.disconnect()
            self._reactor.close()
            if self._died_by is not None:
                signal.signal(self._died_by, signal.SIG_DFL)
                os.kill(os.getpid(), self._died_by)

    def _ended(self, outcome: Any) -> None:
        if self._done.called:  # a signal came first
            return
        if isinstance(outcome, Failure):
            self._done.errback(outcome)
        else:
            self._done.callback(outcome)

    def _signalled(self, number: int) -> None:
        """End by the signal, once the terminal is as it was."""
        self._died_by = number
        if not self._done.called:
            self._done.callback(FAILED)

    async def _main(self) -> int:
        options, log = self._options, self._log
        tell_settings(self._target, log)
        keys = await self._keys_to_install()
        install_script(
            keys, options.target
        )  # what cannot be sent is told before anybody is asked for anything
        if not options.force:
            log.tell(
                "INFO",
                "attempting to log in with the new key(s), to filter out any that are already installed",
            )
            keys = await self._filter(keys)
            if not keys:
                log.tell(
                    "WARNING",
                    "All keys were skipped because they already exist on the remote system.\n"
                    "\t\t(if you think this is a mistake, you may want to use -f option)\n",
                )
                return 0
            log.tell(
                "INFO",
                f"{len(keys)} key(s) remain to be installed -- if you are prompted now it is to install "
                "the new keys",
            )
        if options.dry_run:
            lines = "\n".join(str(key) for key in keys)
            log.output(
                f"=-=-=-=-=-=-=-=\nWould have added the following key(s):\n\n{lines}\n=-=-=-=-=-=-=-=\n"
            )
            return 0
        return self._tell_added(await self._install(keys))

    # Which keys.

    async def _keys_to_install(self) -> list[KeyLine]:
        options, log = self._options, self._log
        path: str | None = None
        if options.identity:
            path = public_file(options.identity)
        elif options.identity is None:
            keys, problems = await agent_keys(cast("Reactor", self._reactor))
            for problem in problems:
                log.tell("WARNING", problem)
            if keys:
                return keys
        path = path or newest_file()
        if path is None:
            raise SSHKitError("No identities found")
        if options.identity is not None:
            self._source = path.removesuffix(".pub")
        keys = read_file(path)
        if not keys:
            raise SSHKitError(f"{printable(path, 4096)}: there is no key in it")
        log.tell("INFO", f'Source of key(s) to be installed: "{printable(path, 4096)}"')
        return keys

    async def _filter(self, keys: list[KeyLine]) -> list[KeyLine]:
        """Return the keys that do not let in yet."""
        installed: set[str] = set()
        waiting = [key for key in keys if key.public is not None]
        while waiting:
            tried = await self._try(waiting[:MAX_TRIES], installed)
            del waiting[:tried]
        return [key for key in keys if key.name not in installed]

    async def _try(self, keys: list[KeyLine], installed: set[str]) -> int:
        """Ask which of the keys let in; returns how many were answered before the host had enough."""

        def accepted(key: KeyLine) -> None:
            installed.add(key.name)

        own = dict.fromkeys(
            name for key in keys for name in cast("PublicKey", key.public).signature_algorithms
        )
        base = self._algorithms
        algorithms = Algorithms(
            key_exchanges=base.key_exchanges,
            host_keys=base.host_keys,
            ciphers=base.ciphers,
            macs=base.macs,
            user_keys=tuple(dict.fromkeys((*base.user_keys, *own))),
        )
        connection = self._connect(
            cast("Credentials", TryCredentials(keys, accepted)), ("publickey",), algorithms
        )
        try:
            await self._opened(connection)
        except AuthenticationFailed:
            return len(keys)
        except ConnectionLost:
            if connection.authentication is None:
                raise
            # Hosts end a connection after a number of tries, and answer the last one thus.
            return max(1, sum(attempt.method == "publickey" for attempt in connection.trail))
        finally:
            if not connection.verifier.key_changed:  # such a key is to be doubted again, before a password
                self._host_key = connection.layer.host_key or self._host_key
        installed.update(key.name for key in keys)  # it lets in whoever comes: it would never take a key
        await connection.close()
        return len(keys)

    # Installing.

    async def _install(self, keys: list[KeyLine]) -> int:
        """Append the keys; returns how many were not there yet."""
        target, log = self._target, self._log
        options = target.options
        batch = options.batch_mode.value
        asking = Questions(target, self._prompter, log)
        credentials = FileCredentials(
            identities_of(target),
            password=None if batch else asking.password,
            passphrase=None if batch else asking.passphrase,
            answers=None if batch else asking.answers,
            interactive_tries=options.password_prompts.value,
            passphrase_tries=max(1, options.password_prompts.value),
            banner=lambda text: log.info(text.rstrip("\n")),
            warn=lambda text: log.info(f"Warning: {text}"),
        )
        connection = self._connect(credentials, methods_of(options), self._algorithms, asking)
        await self._opened(connection)
        script = install_script(keys, self._options.target, self._options.debug)
        result = await connection.run(COMMAND, input=script, timeout=INSTALL_TIMEOUT, max_output=MAX_OUTPUT)
        added, rest = read_report(result.stdout)
        self._show(rest)
        self._show(result.stderr)
        await connection.close()
        if added is None or result.exit_status != 0:
            end = (
                f"by signal {result.exit_signal}"
                if result.exit_signal
                else f"with status {result.exit_status}"
            )
            raise SSHKitError(f"the keys were not installed: the script on the host ended {end}")
        return added

    def _show(self, output: bytes) -> None:
        """Show what the host said, made harmless."""
        lines = output.splitlines()
        for line in lines[:MAX_SHOWN]:
            self._log.info(f"{printable(self._target.hostname)}: {printable(line, 1000)}")
        if len(lines) > MAX_SHOWN:
            self._log.info(f"{printable(self._target.hostname)}: ({len(lines) - MAX_SHOWN} more lines)")

    def _tell_added(self, added: int) -> int:
        words = [f"-i {shlex.quote(self._source)}"] if self._source is not None else []
        words += [shlex.quote(word) for word in self._options.client]
        hint = printable(" ".join(["sshkit-client", *words, shlex.quote(self._options.host)]), 4096)
        if not added:
            self._log.tell(
                "WARNING",
                "the keys are in the file already; if they do not let in, its permissions or the server's "
                "configuration are against it",
            )
        self._log.output(
            f"\nNumber of key(s) added: {added}\n\n"
            f'Now try logging into the machine, with: "{hint}"\n'
            "and check to make sure that only the key(s) you wanted were added.\n\n"
        )
        return 0

    # Connections.

    def _connect(
        self,
        credentials: "Credentials",
        methods: tuple[str, ...],
        algorithms: Algorithms,
        asking: Questions | None = None,
    ) -> ClientConnection:
        """Make a connection; its host key is the one that the connection before it has verified."""
        target, log = self._target, self._log
        self._asking = asking = asking or Questions(target, self._prompter, log)
        self._connection = make_connection(
            target,
            cast("Reactor", self._reactor),
            asking,
            credentials=credentials,
            methods=methods,
            algorithms=algorithms,
            trusted=None if self._host_key is None else [self._host_key],
        )
        return self._connection

    def _opened(self, connection: ClientConnection) -> Deferred[ClientConnection]:
        return open_target(
            connection, self._target, cast("Reactor", self._reactor), cast("Questions", self._asking)
        )
