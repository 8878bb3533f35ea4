"""``python -m sshkit.manhole PID [command]``: a Python shell in a program that runs (`attach`)."""

import os
import subprocess
import sys
import tempfile

USAGE = "usage: python -m sshkit.manhole PID [expression]"


def main(arguments: list[str]) -> int:
    """Open a manhole in the process, and connect to it with sshkit-client; returns the exit status."""
    if not arguments or not (arguments[0].isascii() and arguments[0].isdigit()):
        print(USAGE, file=sys.stderr)
        return 2
    from sshkit.manhole.attach import AttachError, attach

    with tempfile.TemporaryDirectory(prefix="sshkit-manhole-") as folder:
        try:
            attached = attach(int(arguments[0]), folder)
        except AttachError as error:
            print(f"sshkit.manhole: {error}", file=sys.stderr)
            return 1
        options = ["-F", "none", "-i", attached.key, "-p", str(attached.port), "-o", "IdentitiesOnly=yes"]
        options += ["-o", f"UserKnownHostsFile={attached.known_hosts}", "-o", "GlobalKnownHostsFile=none"]
        user = os.environ.get("USER") or "manhole"
        words = ["-l", user, "127.0.0.1", *arguments[1:]]
        return subprocess.call([sys.executable, "-m", "sshkit_cli.client", *options, *words])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
