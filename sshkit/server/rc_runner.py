"""A program of its own: runs ~/.ssh/rc or /etc/ssh/sshrc, then becomes the command of the session.

Started by `login_setup.with_rc`, by its path, without the library: it stays as small as it is.  Its
arguments: how many words the first command has, these, the path of the second program, and its argument
vector.
"""

import os
import sys

#: What the first command gets on standard input; taken out of the environment, which others may not read.
INPUT = "SSHKIT_RC_INPUT"
_FAILED = 127


def run(arguments: list[str]) -> int:
    """Do both; returns only if the second program cannot be started."""
    from signal import SIG_DFL, SIGPIPE, SIGXFSZ, signal

    count = int(arguments[0])
    first, executable, argv = arguments[1 : count + 1], arguments[count + 1], arguments[count + 2 :]
    text = os.environ.pop(INPUT, "").encode("utf-8", "surrogateescape")
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawn(
            first[0],
            first,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
            setsigdef=(SIGPIPE, SIGXFSZ),
        )
        os.close(reading)
        try:
            os.write(writing, text)
        except BrokenPipeError:
            pass  # it does not want to know
        os.close(writing)
        os.waitpid(pid, 0)
    except OSError as error:
        print(f"Could not run {first[-1]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - the user's own
        sys.stderr.flush()
    for number in (SIGPIPE, SIGXFSZ):  # Python ignores them, a program must not
        signal(number, SIG_DFL)
    try:
        os.execve(executable, argv, os.environ)
    except OSError as error:
        print(f"{executable}: {error.strerror}", file=sys.stderr)  # noqa: T201
    return _FAILED


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
