"""Lines of known_hosts from a program (KnownHostsCommand of ssh_config(5)).

Called by `host_keys`: once before the connection, to learn which keys the host may have (ORDER), and once
for the key that came (HOSTNAME, and ADDRESS where the numeric address counts as well).  The program runs
beside the loop, without a shell.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sshkit_keys.text import printable

from sshkit.config.parser import ConfigError, Place, split_arguments
from sshkit.ssh.errors import HostKeyNotVerified

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.config.tokens import Tokens
    from sshkit.deferred import Deferred

TIMEOUT = 60.0  #: seconds for the program
MAX_OUTPUT = 16 << 20


class KnownHostsCommandFailed(HostKeyNotVerified):
    """The program that knows the host keys could not say: nobody vouches for the key then."""


class KnownHostsCommand:
    """One command of one connection."""

    __slots__ = ("_in_thread", "_tokens", "name", "text", "where")

    def __init__(
        self, text: str, where: Place, tokens: "Tokens", in_thread: "Callable[..., Deferred[Any]]"
    ) -> None:
        self.text = text
        self.where = where
        self._tokens = tokens
        self._in_thread = in_thread
        #: What its lines are called in errors; the number of a line follows.
        self.name = f"KnownHostsCommand ({where})"

    def lines(self, reason: str, searched: str, key: "PublicKey | None" = None) -> "Deferred[bytes]":
        """Fires with what it writes about `searched`, a host as known_hosts has it."""
        arguments = self.arguments(reason, searched, key)
        return self._in_thread(_run, arguments)

    def arguments(self, reason: str, searched: str, key: "PublicKey | None" = None) -> list[str]:
        """Return program and arguments; a token stands within one argument, whatever it holds."""
        own = {"I": reason, "H": searched, "t": "NONE", "K": "NONE", "f": "NONE"}
        if key is not None:
            kind, blob = key.to_line().split(" ")[:2]
            own |= {"t": kind, "K": blob, "f": key.fingerprint()}
        try:
            words = split_arguments(self.text, self.where)
        except ConfigError as error:
            raise ConfigError(f"KnownHostsCommand: {error.cause}", self.where) from None
        if not words or not words[0].startswith("/"):
            raise ConfigError("KnownHostsCommand: the program needs its whole path", self.where)
        return [self._expanded(word, own) for word in words]

    def _expanded(self, word: str, own: Mapping[str, str]) -> str:
        """Replace our own tokens, and let `Tokens` have the others."""
        parts: list[str] = []
        position = 0
        while (at := word.find("%", position)) >= 0:
            parts.append(word[position:at])
            pair = word[at : at + 2]
            parts.append(own[pair[1:]] if pair[1:] in own else self._tokens.expand(pair, self.where))
            position = at + 2
        return "".join(parts) + word[position:]


def _run(arguments: list[str]) -> bytes:
    """Return what a program writes; raises KnownHostsCommandFailed unless it ends well."""
    import subprocess

    shown = printable(arguments[0], 200)
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as error:
        raise KnownHostsCommandFailed(f"KnownHostsCommand {shown}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise KnownHostsCommandFailed(f"KnownHostsCommand {shown}: no end within {TIMEOUT:g} s") from None
    if done.returncode:
        raise KnownHostsCommandFailed(f"KnownHostsCommand {shown} ended with status {done.returncode}")
    if len(done.stdout) > MAX_OUTPUT:
        raise KnownHostsCommandFailed(f"KnownHostsCommand {shown} wrote more than {MAX_OUTPUT} bytes")
    return done.stdout
