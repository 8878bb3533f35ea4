"""`run_service`: a service as a program, from its options to its exit status.

The order of what the options ask for is `_Program.run`: whatever needs a name, a path or root's rights comes
before what takes these away, and the command that was typed hears of every fault.
"""

import os
import sys
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import CancelledError, Deferred, Failure, ensure_deferred
from sshkit.reactor.text import shown, shown_error

from .options import LOG_FORMATS, ProgramOptions

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from sshkit.interfaces import Reactor

    from .base import Service
    from .detaching import Detached
    from .notifying import ConnectedNotifier
    from .pid_file import PidFile

DONE = 0
FAILED = 1  #: it did not start, or did not stop in order and in time
BY_SIGNAL = 128  #: plus the signal's number: the second one, which ends the program at once


def run_service(service: "Service", options: ProgramOptions | None = None, *, program: str = "") -> int:
    """Run a service until SIGINT or SIGTERM; return the program's exit status.  Main thread only.

    The first signal stops the service, in `options.stop_timeout` seconds; the second ends the program at
    once.  0 if it stopped in order; 1, with a message on standard error and in the log, if it did not start
    or stop.  Systemd is told where it asked to be.  With `daemon` the command that was typed ends with
    `os._exit` once the service runs, and this returns in the daemon only.
    """
    options = ProgramOptions() if options is None else options
    name = program or os.path.basename(sys.argv[0]) or "service"
    return _Program(service, options, shown(name)).run()


class _Program:
    """One run of a service."""

    def __init__(self, service: "Service", options: ProgramOptions, name: str) -> None:
        self.service = service
        self.options = options
        self.name = name
        self.status = DONE
        self._detached: Detached | None = None
        self._pid_file: PidFile | None = None
        self._handler: logging.Handler | None = None
        self._reactor: Reactor
        self._notifier: ConnectedNotifier
        self._starting: Deferred[Any] | None = None
        self._stopping: Deferred[Any] | None = None
        self._signals = 0

    def run(self) -> int:
        """Follow the options in the order that works, serve, and put everything back."""
        old_umask = None
        try:
            self._check()
            from .rights import look_up

            rights = look_up(self.options)
            # Paths are meant from the folder in which the command was typed.
            pid_file, log = _absolute(self.options.pid_file), _absolute(self.options.log)
            if self.options.daemon:
                from .detaching import detach

                self._detached = detach(self.name)
            if self.options.umask is not None:
                old_umask = os.umask(self.options.umask)
            if pid_file is not None:
                from .pid_file import PidFile

                self._pid_file = PidFile(pid_file)
            self._open_log(log)
            self._prepare()
            if rights.chroot is not None or rights.account is not None or rights.gid is not None:
                # Modules may be out of reach afterwards; this one is of the engines that have asyncio.
                import sshkit.deferred.task  # noqa: F401
                from sshkit.server.preload import preload

                from .rights import give_up

                preload()
                give_up(rights)
            self._serve()
        except (SSHKitError, OSError) as error:
            self._fault(shown(str(error)), error)
        except Exception as error:
            self._fault(f"{type(error).__name__}: {shown_error(error)}", error)
        finally:
            self._put_away()
            if old_umask is not None:
                os.umask(old_umask)
        return self.status

    def _check(self) -> None:
        from .errors import OptionError

        if self.options.log_format not in LOG_FORMATS:
            raise OptionError(
                f"--log-format {shown(self.options.log_format)}: not one of {', '.join(LOG_FORMATS)}"
            )

    def _open_log(self, path: str | None) -> None:
        import logging

        root = logging.getLogger()
        if path is None and root.handlers and self.options.log_format == "text":
            return  # the program has its own way
        from .logs import open_log

        self._handler = open_log(path, self.options.log_format)
        root.addHandler(self._handler)
        if root.level == logging.WARNING:  # nobody has chosen one
            root.setLevel(logging.INFO)

    def _prepare(self) -> None:
        from sshkit.reactor.engines import new_reactor

        from .notifying import ConnectedNotifier

        self._notifier = ConnectedNotifier()
        self.service.prepare()
        self._reactor = cast("Reactor", new_reactor(self.options.engine))

    def _put_away(self) -> None:
        if hasattr(self, "_reactor"):
            self._reactor.close()
        if hasattr(self, "_notifier"):
            self._notifier.close()
        if self._pid_file is not None:
            self._pid_file.remove()
        if self._detached is not None:
            self._detached.report(self.status)
        if self._handler is not None:
            import logging

            logging.getLogger().removeHandler(self._handler)
            self._handler.close()

    # While the reactor runs.

    def _serve(self) -> None:
        from signal import SIGHUP, SIGINT, SIGTERM

        reactor = self._reactor
        for number in (SIGINT, SIGTERM):
            self._catch(number)
        if self.options.log is not None:  # else a terminal that hangs up ends the program
            reactor.add_signal_handler(SIGHUP, self._reopen_log)
        reactor.add_system_event_trigger("before", "shutdown", self._stop)
        reactor.call_soon(self._begin)
        reactor.run()

    def _catch(self, number: int) -> None:
        import signal

        self._reactor.add_signal_handler(number, lambda: self._asked_to_end(number))
        first: Any = signal.getsignal(number)

        def on_signal(number: int, frame: object) -> None:
            self._signals += 1
            if self._signals > 1:
                # At once, even where the service keeps the loop from turning.
                if self._pid_file is not None:
                    self._pid_file.remove()
                os._exit(BY_SIGNAL + number)
            first(number, frame)

        signal.signal(number, on_signal)

    def _begin(self) -> None:
        self._starting = ensure_deferred(self.service.begin())
        self._starting.add_callbacks(self._started, self._not_started)

    def _started(self, _: object) -> None:
        self._starting = None
        if self._signals:
            self._asked_to_end(0)
            return
        self._log("info", "service '%s' has started", shown(self.service.name))
        self._notifier.ready()
        self._notifier.start_watchdog(self._reactor)
        if self._detached is not None:
            self._detached.report(DONE)

    def _not_started(self, failure: Failure) -> None:
        self._starting = None
        error = failure.exception
        if isinstance(error, CancelledError) and self._signals:
            self._fault("ended by a signal before it had started", None)
        else:
            text = shown_error(error)
            if not isinstance(error, SSHKitError):
                text = f"service '{shown(self.service.name)}' did not start: {text}"
            self._fault(text, error)
        if self._reactor.running:
            self._reactor.stop()

    def _asked_to_end(self, number: int) -> None:
        if number:
            from signal import Signals

            self._log("info", "service '%s' stops: %s", shown(self.service.name), Signals(number).name)
            self._notifier.stopping()
            self._reactor.call_later(self.options.stop_timeout, self._too_late)
        if self._starting is not None:
            self._starting.cancel()
            return
        self._stop().add_both(lambda _: self._reactor.stop())

    def _stop(self) -> Deferred[Any]:
        """Stop the service, once; the Deferred never fails."""
        if self._stopping is None:
            self._notifier.stop_watchdog()
            self._stopping = ensure_deferred(self.service.end())
            self._stopping.add_errback(self._not_stopped)
        ended: Deferred[None] = Deferred()
        self._stopping.add_both(lambda _: ended.callback(None))
        return ended

    def _not_stopped(self, failure: Failure) -> None:
        text = f"service '{shown(self.service.name)}' did not stop: {shown_error(failure.exception)}"
        self._fault(text, failure.exception)

    def _too_late(self) -> None:
        seconds = self.options.stop_timeout
        self._fault(f"service '{shown(self.service.name)}' did not stop within {seconds:g} seconds", None)
        if self._pid_file is not None:
            self._pid_file.remove()
        os._exit(FAILED)

    # What is told.

    def _reopen_log(self) -> None:
        """Write to a new file where the old one was renamed; SIGHUP, as programs that rotate logs send it."""
        from .logs import LogFile

        handler = self._handler
        assert isinstance(handler, LogFile)
        try:
            handler.reopen()
        except OSError as error:
            text = "the log %s: %s; it goes on in the old file"
            self._log("error", text, shown(handler.path), error.strerror)
        else:
            self._log("info", "service '%s' goes on in a new log", shown(self.service.name))

    def _log(self, level: str, text: str, *values: object) -> None:
        import logging

        method: Callable[..., None] = getattr(logging.getLogger("sshkit.service"), level)
        method(text, *values)

    def _fault(self, text: str, error: BaseException | None) -> None:
        self.status = FAILED
        if self._handler is not None and self.options.log is not None:
            expected = error is None or (isinstance(error, SSHKitError) and error.__cause__ is None)
            import logging

            logging.getLogger("sshkit.service").error("%s", text, exc_info=None if expected else error)
        line = f"{self.name}: {text}\n"
        if self._detached is not None:
            self._detached.report(FAILED, line)
        elif sys.stderr is not None:
            sys.stderr.write(line)
            sys.stderr.flush()


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)
