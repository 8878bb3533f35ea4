"""Programs that say which keys and principals let in: AuthorizedKeysCommand and AuthorizedPrincipalsCommand.

Called for each key that is tried, beside the files.  The program is root's, runs as another user with an
argument vector and without a shell (R39), and is killed when it takes too long or says too much; its lines
are read like those of the files, and named "AuthorizedKeysCommand PATH:LINE".  See sshd_config(5), TOKENS.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit.server.in_child import ChildFailed, in_child
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX

if TYPE_CHECKING:
    from sshkit_keys import PublicKey
    from sshkit_keys.authorized_keys import AuthorizedKeys
    from sshkit_keys.authorized_principals import AuthorizedPrincipals
    from sshkit_keys.certificates import Certificate

    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.server.accounts import Account

KEYS = "AuthorizedKeysCommand"
PRINCIPALS = "AuthorizedPrincipalsCommand"
KEY_TOKENS = "%CDfhktUu"
CERTIFICATE_TOKENS = "FKisT"
TIMEOUT = 30.0  #: seconds: less than anybody waits for a login
MAX_OUTPUT = 1 << 20  #: bytes: thousands of keys
MAX_ARGUMENTS = 256
SAFE_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
#: What means something to a shell that such a program may use: a name that holds it is not handed on (R11).
_UNSAFE = frozenset("'`\"$\\;&<>|(){}*?!")


class KeysCommandError(SSHKitError):
    """A command of the configuration that cannot be run, or not for this user; names the keyword."""


class Endpoints(NamedTuple):
    """Where a client comes from, for %C and %D."""

    client: str
    client_port: int
    server: str
    server_port: int
    routing_domain: str = ""


def split_command(keyword: str, text: str) -> list[str]:
    """Return the words of a command; KeysCommandError unless it can be run as it is written."""
    import shlex

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise KeysCommandError(f"{keyword}: {error}") from None
    if not words or not os.path.isabs(words[0]):
        raise KeysCommandError(f"{keyword}: {quoted(words[0] if words else '')} is not an absolute path")
    if len(words) > MAX_ARGUMENTS:
        raise KeysCommandError(f"{keyword}: more than {MAX_ARGUMENTS} arguments")
    allowed = KEY_TOKENS + (CERTIFICATE_TOKENS if keyword == PRINCIPALS else "")
    for word in words[1:]:
        _expand(keyword, word, dict.fromkeys(allowed, ""))
    return words


def arguments(
    keyword: str, command: str, account: "Account", key: "PublicKey", endpoints: Endpoints
) -> list[str]:
    """Return the argument vector for one key; raises KeysCommandError for a value that is not safe."""
    words = split_command(keyword, command)
    if keyword == KEYS and len(words) == 1:
        words.append("%u")  # as sshd does where nothing is said
    values = _tokens(keyword, account, key, endpoints)
    return [words[0], *(_expand(keyword, word, values) for word in words[1:])]


def find_keys(
    reactor: "Reactor",
    command: str,
    runner: "Account",
    account: "Account",
    key: "PublicKey",
    endpoints: Endpoints,
    timeout: float = TIMEOUT,
) -> "Deferred[AuthorizedKeys]":
    """Ask AuthorizedKeysCommand, as `runner`, for the lines of a key, or of a certificate's authority.

    Raises KeysCommandError; fails with ChildFailed if the command does not end well: then nothing that it
    said counts.
    """
    argv = arguments(KEYS, command, account, key, endpoints)
    wanted = cast("Certificate", key).authority if key.key_type.endswith(CERTIFICATE_SUFFIX) else key

    def read(output: bytes) -> "AuthorizedKeys":
        from sshkit_keys import parse_authorized_keys

        return parse_authorized_keys(output, f"{KEYS} {argv[0]}", wanted)

    return run_command(reactor, KEYS, argv, runner, timeout).add_callback(read)


def find_principals(
    reactor: "Reactor",
    command: str,
    runner: "Account",
    account: "Account",
    certificate: "Certificate",
    endpoints: Endpoints,
    timeout: float = TIMEOUT,
) -> "Deferred[AuthorizedPrincipals]":
    """Ask AuthorizedPrincipalsCommand, as `runner`, which names a certificate may bear; see `find_keys`."""
    argv = arguments(PRINCIPALS, command, account, certificate, endpoints)

    def read(output: bytes) -> "AuthorizedPrincipals":
        from sshkit_keys.authorized_principals import parse_authorized_principals

        return parse_authorized_principals(output, f"{PRINCIPALS} {argv[0]}")

    return run_command(reactor, PRINCIPALS, argv, runner, timeout).add_callback(read)


def run_command(
    reactor: "Reactor", keyword: str, argv: list[str], runner: "Account", timeout: float = TIMEOUT
) -> "Deferred[bytes]":
    """Run a program as `runner`; fires with what it writes to standard output."""
    name = f"{keyword} {printable(argv[0])}"
    return in_child(
        reactor,
        lambda: output_of(name, argv, runner),
        account=runner,
        timeout=timeout,
        limit=MAX_OUTPUT,
        name=name,
    )


# In the child.


def output_of(name: str, argv: list[str], runner: "Account") -> bytes:
    """Return what a program writes; ChildFailed unless it is root's and ends with 0."""
    import subprocess

    check_program(name, argv[0])
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=_environment(runner),
    )
    assert process.stdout is not None
    with process.stdout as stream:
        output = stream.read(MAX_OUTPUT + 1)
    if len(output) > MAX_OUTPUT:
        process.kill()
        process.wait()
        raise ChildFailed(f"{name}: more than {MAX_OUTPUT} bytes of output")
    status = process.wait()
    if status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise ChildFailed(f"{name} ended with {how}")
    return output


def check_program(name: str, path: str) -> None:
    """Raise ChildFailed unless a program, and each folder above it, is root's and nobody else's to write."""
    from sshkit_keys.strict_modes import check_strict_modes

    try:
        if not os.path.isfile(path):
            raise ChildFailed(f"{name}: not a plain file")
        check_strict_modes(path, 0, "/")
    except KeyFileError as error:
        raise ChildFailed(f"{name}: {error}") from None


def _environment(runner: "Account") -> dict[str, str]:
    environment = {
        "PATH": SAFE_PATH,
        "USER": runner.name,
        "LOGNAME": runner.name,
        "HOME": runner.home,
    }
    language = os.environ.get("LANG")
    if language is not None:
        environment["LANG"] = language
    return environment


# Tokens.


def _tokens(keyword: str, account: "Account", key: "PublicKey", endpoints: Endpoints) -> Mapping[str, str]:
    """Return what each token stands for."""
    from base64 import b64encode

    def encoded(key: "PublicKey") -> str:
        return b64encode(key.blob).decode()

    values = {
        "%": "%",
        "C": f"{endpoints.client} {endpoints.client_port} {endpoints.server} {endpoints.server_port}",
        "D": endpoints.routing_domain,
        "f": key.fingerprint(),
        "h": account.home,
        "k": encoded(key),
        "t": key.key_type,
        "U": str(account.uid),
        "u": account.name,
    }
    if keyword == PRINCIPALS:
        certificate = cast("Certificate", key)
        authority = certificate.authority
        values |= {
            "F": authority.fingerprint(),
            "i": certificate.key_id,
            "K": encoded(authority),
            "s": str(certificate.serial),
            "T": authority.key_type,
        }
    return values


def _expand(keyword: str, word: str, values: Mapping[str, str]) -> str:
    parts = word.split("%")
    expanded = [parts[0]]
    position = 1
    while position < len(parts):
        text = parts[position]
        if not text and position + 1 < len(parts):  # "%%"
            expanded.append("%" + parts[position + 1])
            position += 2
            continue
        letter = text[:1]
        if letter not in values or not letter:
            raise KeysCommandError(f"{keyword}: %{printable(letter)} is no token")
        value = values[letter]
        if value.startswith("-") or not value.isprintable() or _UNSAFE.intersection(value):
            raise KeysCommandError(f"{keyword}: %{letter} is {quoted(value)}, which is not safe to hand on")
        expanded += (value, text[1:])
        position += 1
    return "".join(expanded)
