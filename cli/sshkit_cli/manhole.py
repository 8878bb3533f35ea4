"""sshkit-manhole: the manhole's console as a shell of its own, on this terminal.

``sshkit-manhole app.main:application`` has `application` in its namespace and all `await` at the top level.
Without a terminal on standard input it runs that as a script.  The exit status is 1 if the code raised, what
it gave to `exit()` if it did that, else 0; 2 for a command line that makes no sense.
"""

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence


USAGE = """\
usage: sshkit-manhole [-qV] [-c CODE] [-i FILE] [--vi] [--history PATH] [--threaded] [MODULE[:OBJECT] ...]
  -c CODE         run CODE and end
  -i FILE         run FILE first, in the namespace of the shell
  -q              no banner
  -V              show the version and end
  --vi            vi's keys (F4 changes over)
  --history PATH  keep what is typed in PATH (0600); without it, in memory only
  --threaded      run code in a thread of its own, so that the loop goes on while it computes
  MODULE:OBJECT   put an object into the namespace; MODULE alone: the module"""


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class CommandLine(NamedTuple):
    """What was typed."""

    code: str | None = None
    files: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    vi: bool = False
    history: str | None = None
    threaded: bool = False
    quiet: bool = False
    version: bool = False
    help: bool = False


_SWITCHES = {
    "--vi": "vi",
    "--threaded": "threaded",
    "-q": "quiet",
    "-V": "version",
    "--version": "version",
    "-h": "help",
    "--help": "help",
}


def parse(argv: "Sequence[str]") -> CommandLine:
    """Return what the arguments say; UsageError if they make no sense."""
    found: dict[str, Any] = {}
    files: list[str] = []
    objects: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word in _SWITCHES:
            found[_SWITCHES[word]] = True
        elif word in ("-c", "-i", "--history") or (name == "--history" and equals):
            if not equals:
                if not words:
                    raise UsageError(f"{word} wants an argument")
                value = words.pop(0)
            if word == "-i":
                files.append(value)
            else:
                found["code" if word == "-c" else "history"] = value
        elif word == "--":
            objects += words
            break
        elif word.startswith("-"):
            raise UsageError(f"there is no option {quoted(word)}")
        else:
            objects.append(word)
    return CommandLine(files=tuple(files), objects=tuple(objects), **found)


def load_objects(names: "Sequence[str]") -> dict[str, Any]:
    """Import what MODULE:OBJECT names; UsageError where that fails."""
    from importlib import import_module

    namespace: dict[str, Any] = {}
    if "" not in sys.path:
        sys.path.insert(0, "")
    for name in names:
        module, _, path = name.partition(":")
        try:
            value: Any = import_module(module)
            for part in path.split(".") if path else ():
                value = getattr(value, part)
        except Exception as error:
            kind = type(error).__name__
            raise UsageError(f"{quoted(name)} cannot be loaded: {kind}: {printable(str(error))}") from error
        if path:
            namespace[path.rpartition(".")[2]] = value
        else:  # as `import a.b` binds a
            top = module.partition(".")[0]
            namespace[top] = sys.modules[top]
    return namespace


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the command; return its exit status."""
    try:
        line = parse(sys.argv[1:] if argv is None else argv)
        if line.help:
            print(USAGE)
            return 0
        if line.version:
            from importlib.metadata import version

            print(f"sshkit-manhole {version('sshkit')}")
            return 0
        namespace = {"__name__": "__main__", "__builtins__": __builtins__, **load_objects(line.objects)}
    except UsageError as error:
        print(f"sshkit-manhole: {error}\n{USAGE}", file=sys.stderr)
        return 2
    from sshkit.reactor.running import run

    try:
        return run(_main(line, namespace))
    except SSHKitError as error:
        print(f"sshkit-manhole: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _main(line: CommandLine, namespace: dict[str, Any]) -> int:
    interactive = line.code is None and sys.stdin.isatty() and sys.stdout.isatty()
    for path in line.files:
        status = await _run(_read(path), namespace, line.threaded)
        if status and not interactive:
            return status
    if line.code is not None:
        return await _run(line.code, namespace, line.threaded)
    if not interactive:
        return await _run(sys.stdin.read(), namespace, line.threaded)
    from sshkit.manhole.console import ConsoleOptions
    from sshkit.manhole.local import run_local, wants_colours

    options = ConsoleOptions(
        banner="\n" if line.quiet else "",
        history=line.history,
        vi=line.vi,
        colours=wants_colours(),
        title="sshkit-manhole",
    )
    return await run_local(namespace, options, threaded=line.threaded)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise UsageError(f"{quoted(path)} cannot be read: {printable(str(error))}") from error


async def _run(source: str, namespace: dict[str, Any], threaded: bool) -> int:
    """Run one input without a terminal; return its exit status."""
    from sshkit.manhole.interpreter import Interpreter

    def write(text: str) -> None:
        sys.__stdout__.write(text)  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]

    interpreter: Interpreter = Interpreter(namespace, write=write, threaded=threaded, person="local")
    try:
        outcome = await interpreter.run(source)
    finally:
        interpreter.close()
    if outcome.exit_status is not None:
        return outcome.exit_status
    return 1 if outcome.raised else 0


if __name__ == "__main__":
    sys.exit(main())
