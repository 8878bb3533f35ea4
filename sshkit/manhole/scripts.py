"""A manhole without a terminal: one expression as a command, or a script on standard input.

``ssh host 'len(app.users)'`` prints the value; ``echo code | ssh host`` runs the code, which prints what it
wants.  The status is 0, 1 if it raised (the traceback is on standard error), or what it gave `sys.exit`.
"""

from typing import TYPE_CHECKING

from sshkit.deferred import CancelledError

if TYPE_CHECKING:
    from sshkit.manhole.interpreter import Interpreter
    from sshkit.server.handler import Session

MAX_SCRIPT = 16 << 20  #: bytes of one script
RAISED = 1
INTERRUPTED = 130  #: as shells have it for SIGINT
TOO_LONG = 2


async def run_expression(session: "Session", interpreter: "Interpreter", source: str) -> int:
    """Evaluate one input and print its value."""
    return await run_source(session, interpreter, source, shows=True)


async def run_script(session: "Session", interpreter: "Interpreter") -> int:
    """Run all that comes on standard input."""
    read = bytearray()
    while data := await session.stdin.read(65536):
        read += data
        if len(read) > MAX_SCRIPT:
            session.stderr.write(f"a script is {MAX_SCRIPT} bytes at most\n")
            return TOO_LONG
    try:
        source = read.decode()
    except UnicodeDecodeError as error:
        session.stderr.write(f"the script is not UTF-8 at byte {error.start}\n")
        return TOO_LONG
    return await run_source(session, interpreter, source, shows=False)


async def run_source(session: "Session", interpreter: "Interpreter", source: str, *, shows: bool) -> int:
    """Run an input; what it raised goes to standard error."""
    interrupted = False

    def signalled(name: str) -> None:
        nonlocal interrupted
        if name in ("INT", "TERM", "HUP"):
            interrupted = interpreter.interrupt() or interrupted

    session.on_signal(signalled)
    try:
        # No Deferred is between: an exit would go through it to the loop.
        value = await interpreter.evaluate(source)
    except SystemExit as error:
        return exit_status(session, error)
    except (KeyboardInterrupt, CancelledError) as error:
        if not interrupted and isinstance(error, CancelledError):
            raise  # the client has gone
        session.stderr.write("KeyboardInterrupt\n")
        return INTERRUPTED
    except BaseException as error:
        from sshkit.manhole.tracebacks import traceback_text

        session.stderr.write(traceback_text(error, interpreter.limits))
        return RAISED
    if shows and value is not None:
        failed = await interpreter.show_value(value, interpreter.limits)
        if failed is not None:
            session.stderr.write(f"{type(failed).__name__}: the value cannot be shown\n")
            return RAISED
    return 0


def exit_status(session: "Session", error: SystemExit) -> int:
    """Return the status of `sys.exit(...)`; a text goes to standard error, as in a program."""
    code = error.code
    if code is None:
        return 0
    if isinstance(code, int):
        return int(code) & 0xFF
    session.stderr.write(f"{code}\n")
    return RAISED
