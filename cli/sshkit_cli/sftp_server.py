"""sshkit-sftp-server: the SFTP server of one session, on standard input and output (sftp-server(8)).

For ``Subsystem sftp`` of any sshd, and for ``sftp -D``.  Its options and log are those of OpenSSH's.
It serves one request after the other, with the rights of who started it, and loads no more than it
needs.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.sftp.server_options import LEVELS, USAGE, Options, UsageError, expanded, parse

if TYPE_CHECKING:
    from sshkit.sftp.server_events import SFTPEvent

FAILED = 255
USAGE_STATUS = 1

Log = Callable[[int, str], object]


def main(argv: "list[str] | None" = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        print(f"sshkit-sftp-server: {error}", USAGE, sep="\n", file=sys.stderr)
        return USAGE_STATUS
    if options.help:
        print(USAGE, file=sys.stderr)
        return USAGE_STATUS
    if options.query is not None:
        from sshkit.sftp.server_requests import request_names

        print("\n".join(request_names()))
        return 0
    try:
        return _serve(options)
    except KeyboardInterrupt:
        return FAILED
    except SSHKitError as error:
        print(f"sshkit-sftp-server: {error}", file=sys.stderr)
    except OSError as error:
        place = f"{printable(os.fsdecode(error.filename))}: " if error.filename else ""
        print(f"sshkit-sftp-server: {place}{error.strerror}", file=sys.stderr)
    return FAILED


def _serve(options: Options) -> int:
    from time import time

    from sshkit.sftp.backends.local import LocalBackend
    from sshkit.sftp.errors import SFTPProtocolError
    from sshkit.sftp.server import SFTPServer
    from sshkit.sftp.server_pipes import serve_pipes

    if options.umask is not None:
        os.umask(options.umask)
    log = _open_log(options)
    home = _start(options, log)
    verbose = options.level >= LEVELS["INFO"]
    backend = LocalBackend("/", start=home, allow_setid=True)

    def failed(error: BaseException) -> None:
        log(LEVELS["ERROR"], f"internal error: {type(error).__name__}: {error}")

    def happened(event: "SFTPEvent") -> None:
        log(LEVELS["INFO"], str(event))

    server = SFTPServer(
        backend,
        random_bytes=os.urandom,
        now=time,
        read_only=options.read_only,
        denied=options.denied,
        allowed=options.allowed,
        on_event=happened if verbose else None,
        on_error=failed,
    )
    for descriptor in (0, 1):
        os.set_blocking(descriptor, True)
    if verbose:
        log(LEVELS["INFO"], f"session opened for local user {_user()} from [{_source()}]")
    try:
        serve_pipes(server, 0, 1)
    except SFTPProtocolError as error:
        log(LEVELS["ERROR"], str(error))
        return FAILED
    finally:
        if verbose:
            log(LEVELS["INFO"], f"session closed for local user {_user()} from [{_source()}]")
    return 0


def _start(options: Options, log: Log) -> bytes:
    """Return where relative paths begin: -d with its tokens expanded, else where we are."""
    if options.start is not None:
        path = expanded(options.start, {"d": _home(), "u": _user()})
        try:
            os.chdir(path)
        except OSError as error:
            log(LEVELS["ERROR"], f'chdir to "{path}" failed: {error.strerror}')
    return os.getcwdb()


def _user() -> str:
    from pwd import getpwuid

    try:
        return getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _home() -> str:
    from pwd import getpwuid

    try:
        return getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def _source() -> str:
    """Return the client's address, as sshd tells it."""
    return printable(os.environ.get("SSH_CONNECTION", "UNKNOWN").split(" ")[0] or "UNKNOWN")


def _open_log(options: Options) -> Log:
    """Return what takes a level and a text."""
    if options.log_to_stderr:
        from sshkit.server.event_log import descriptor_sink

        sink: Log = descriptor_sink(2, stamped=False)
    else:
        from sshkit.server.event_log import syslog_sink

        sink = syslog_sink(options.facility)
        import syslog

        syslog.openlog("sshkit-sftp-server", syslog.LOG_PID, getattr(syslog, f"LOG_{options.facility}"))

    def log(level: int, text: str) -> None:
        if level <= options.level:
            sink(level, printable(text, 8192))

    return log


def run() -> NoReturn:
    """Run as a script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
