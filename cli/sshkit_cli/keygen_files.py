"""What the actions of sshkit-keygen share: key files, questions, names.

Called by the modules `keygen_*`.  Questions go to the terminal; without one, to standard error, and the
answer is a line of standard input.
"""

import os
import sys

from sshkit_keys.errors import KeyFileError, PassphraseRequired
from sshkit_keys.file_access import read_descriptor
from sshkit_keys.key import PrivateKey, PublicKey
from sshkit_keys.key_files import load_private_key, load_public_key, parse_public_half
from sshkit_keys.text import printable
from sshkit_keys.trust_files import MAX_FILE_BYTES

from sshkit_cli.keygen import Options

STDIN = "(stdin)"


def key_path(options: Options) -> str:
    """Return -f's file, or ask for it."""
    return options.values.get("-f") or ask_path("Enter file in which the key is")


def read_file(path: str) -> tuple[bytes, str]:
    """Return a file's contents and what it is called in messages; "-" is standard input."""
    if path == "-":
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise KeyFileError(f"more than {MAX_FILE_BYTES} bytes", STDIN)
        return data, STDIN
    with open(path, "rb") as stream:
        return read_descriptor(stream.fileno(), MAX_FILE_BYTES, path), path


def is_private(data: bytes) -> bool:
    """Say whether a file's contents look like a private key, of whatever format."""
    if b" PRIVATE KEY-----" in data or data.startswith((b"PuTTY-User-Key-File-", b"{")):
        return True
    return data[:1] == b"\x30"  # DER


def load_private(path: str, options: Options) -> PrivateKey:
    """Read a private key, asking for its passphrase if it has one and -P did not tell it."""
    return load_private_key(path, passphrase_of(path, options))


def passphrase_of(path: str, options: Options) -> "bytes | AskedPassphrase":
    """Return what opens a private key file: -P's passphrase, or a question that remembers its answer."""
    return os.fsencode(options.values["-P"]) if "-P" in options.values else AskedPassphrase(path)


class AskedPassphrase:
    """Asks when it is called; `answer` is what was said, empty as long as nobody asked."""

    def __init__(self, path: str) -> None:
        self._prompt = f'Enter passphrase for "{printable(path)}": '
        self.answer = b""

    def __call__(self) -> bytes:
        self.answer = ask_secret(self._prompt)
        return self.answer


def public_half(data: bytes, path: str) -> PublicKey:
    """Return a private key's public half; what an encrypted file does not tell stands in its .pub file."""
    beside = f"{path}.pub"
    try:
        key = parse_public_half(data, path)
    except PassphraseRequired:
        if not os.path.exists(beside):
            raise
        return load_public_key(beside)
    if not key.comment and os.path.exists(beside):
        try:
            public = load_public_key(beside)
        except KeyFileError:
            return key
        return public if public == key else key
    return key


def read_line(prompt: str) -> str | None:
    """Ask on standard output and return the line, or None at the end of the input."""
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def ask_path(prompt: str, kind: str = "ed25519") -> str:
    """Ask for a file, with the user's own key as the answer to choose by the return key alone."""
    default = os.path.join(os.path.expanduser("~"), ".ssh", f"id_{kind}")
    answer = read_line(f"{prompt} ({printable(default)}): ")
    if answer is None:
        raise KeyFileError("no file was named")
    return answer or default


def may_overwrite(path: str) -> bool:
    """Ask whether a file that exists may be lost."""
    print(f"{printable(path)} already exists.")
    answer = read_line("Overwrite (y/n)? ")
    return answer is not None and answer.strip().lower() in ("y", "yes")


def ask_secret(prompt: str) -> bytes:
    """Ask on the terminal without echo; without one, read a line of standard input."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        program = os.environ.get("SSH_ASKPASS")
        if program:
            return _ask_program(program, prompt)
        print(prompt, end="", file=sys.stderr, flush=True)
        return os.fsencode(sys.stdin.readline().rstrip("\n"))
    from getpass import getpass

    return os.fsencode(getpass(prompt))


def _ask_program(program: str, prompt: str) -> bytes:
    """Run SSH_ASKPASS; an answer that it refuses to give is an empty one."""
    import subprocess

    done = subprocess.run([program, prompt], stdout=subprocess.PIPE, check=False)
    return done.stdout.partition(b"\n")[0] if done.returncode == 0 else b""


def user_at_host() -> str:
    """Return "user@host"."""
    from pwd import getpwuid

    try:
        user = getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"
