"""`serve`, `serve_telnet` and `start`: the doors of a manhole.

`serve` is for programs on our reactor or on asyncio; `start` for those that have no loop: it gives the
manhole a thread of its own.  Both listen at a loopback address or a UNIX socket unless told otherwise, and
let in nobody without a key.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit.deferred import Deferred, Failure
from sshkit.manhole.over_ssh import ManholeSessions
from sshkit.manhole.settings import ManholeSettings
from sshkit.opening import Opening
from sshkit.ssh.errors import LocalProtocolError

if TYPE_CHECKING:
    from sshkit_keys import CertifiedKey, PrivateKey, PublicKey

    from sshkit.blocking.thread import ReactorThread
    from sshkit.interfaces import Listener, Reactor
    from sshkit.server.server import Server
    from sshkit.server.users import Users

    HostKey = PrivateKey | CertifiedKey | str | os.PathLike[str]
    Keys = PublicKey | str | os.PathLike[str]

SOCKET_MODE = 0o600  #: of a UNIX socket: the program's user alone
#: Public halves of the keys that people log in with.
OWN_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub", "id_ed25519_sk.pub", "id_ecdsa_sk.pub")
CLOSE_TIMEOUT = 10.0  #: seconds


class Manhole:
    """A manhole that is open.  `address` says where; `close` ends it and its sessions."""

    def __init__(self, sessions: ManholeSessions, server: Any, listener: "Listener | None" = None) -> None:
        self.sessions = sessions
        self.server: Server = server
        self._listener = listener

    @property
    def address(self) -> Any:
        """Where it listens: (host, port), or the path of a UNIX socket."""
        return self.server.address if self._listener is None else self._listener.address

    @property
    def port(self) -> int:
        """The port; 0 for a UNIX socket."""
        address = self.address
        return int(address[1]) if isinstance(address, tuple) else 0

    @property
    def host_keys(self) -> "list[PublicKey]":
        """Return the public halves of the host keys, for whoever is to trust them."""
        return list({key.public.blob: key.public for key in self.server.host_keys.values()}.values())

    @property
    def settings(self) -> ManholeSettings:
        """How its sessions behave."""
        return self.sessions.settings

    def close(self) -> Deferred[None]:
        """Listen no more and end every session; fires when all have ended."""
        return self.server.close()

    def __repr__(self) -> str:
        return f"<Manhole at {self.address}, {self.sessions.open} sessions>"


def serve(
    namespace: dict[str, Any] | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    path: "str | os.PathLike[str] | None" = None,
    authorized_keys: "Sequence[Keys] | Keys | None" = None,
    users: "Users | None" = None,
    host_key: "HostKey | None" = None,
    reactor: "Reactor | None" = None,
    log: "Callable[[str, str, BaseException | None], object] | None" = None,
    **settings: Any,
) -> Opening[Manhole]:
    """Open a manhole into this program: await it, or ``async with``; gives a `Manhole`.

    `namespace` is what people find, `globals()` for example.  What they assign stays in their session unless
    `names` says "user" or "shared".  It listens at `host` and `port` (0: any), or at the UNIX socket `path`
    (mode 0600).  Who may log in: `authorized_keys` (keys, lines, or files; None: the program's own user, by
    ~/.ssh/authorized_keys and ~/.ssh/id_*.pub), or `users`; passwords need `users`.  `host_key` is a key or
    a file; None: the one in ~/.config/sshkit, made on first use.

    More settings are those of `ManholeSettings`: names, access, threaded, audit, recordings, idle, banner,
    title, history, vi, mouse, colours, complete_as_typing, limits, max_sessions.

    Fails with ListenError, KeyFileError, or LocalProtocolError where nobody could log in.
    """
    from sshkit.server.server import serve as serve_ssh
    from sshkit.server.users import EveryUser

    sessions = ManholeSessions({} if namespace is None else namespace, settings_from(settings))
    if users is None:
        users = EveryUser(own_keys() if authorized_keys is None else as_list(authorized_keys))
    elif authorized_keys is not None:
        raise LocalProtocolError("say who may log in by either users or authorized_keys")
    if host_key is None:
        from sshkit.server.own_files import make_own_key, own_folder

        host_key = make_own_key(own_folder())
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    if path is None:
        listening: Deferred[Server] = serve_ssh(
            (host, port), sessions, host_keys=[host_key], users=users, reactor=reactor, log=log
        )
        return opened(listening, lambda server: Manhole(sessions, server))
    server = make_server(sessions, host_key, users, reactor, log)
    binding = reactor.listen_unix(os.fspath(path), server.make_protocol, mode=SOCKET_MODE)

    def bound(listener: "Listener") -> Manhole:
        server.listeners.append(listener)
        return Manhole(sessions, server, listener)

    return opened(binding, bound)


def make_server(
    sessions: ManholeSessions, host_key: "HostKey", users: "Users", reactor: "Reactor", log: Any
) -> "Server":
    """Return a server that does not listen yet."""
    from sshkit.server.handler import Session
    from sshkit.server.server import Server

    if isinstance(host_key, (str, os.PathLike)):
        from sshkit_keys import load_private_key

        host_key = load_private_key(os.path.expanduser(os.fspath(host_key)))
    return Server(
        reactor,
        host_keys=[host_key],
        users=users,
        start_program=lambda request: Session(request, sessions),
        log=log,
    )


def opened(binding: "Deferred[Any]", make: "Callable[[Any], Manhole]") -> Opening[Manhole]:
    """Return an Opening that fires with what `make` makes of the binding's value."""
    opening: Opening[Manhole] = Opening(lambda _: binding.cancel())

    def failed(failure: Failure) -> None:
        if not opening.called:
            opening.errback(failure)

    binding.add_callback(make).add_callbacks(opening.callback, failed)
    return opening


def settings_from(given: "dict[str, Any]") -> ManholeSettings:
    """Return the settings; a name that there is not is told with those that there are."""
    unknown = [name for name in given if name not in ManholeSettings._fields]
    if unknown:
        raise TypeError(f"no setting {unknown[0]!r}: there are {', '.join(ManholeSettings._fields)}")
    return ManholeSettings(**given)


def as_list(keys: "Sequence[Keys] | Keys") -> "list[Keys]":
    """Return a list of keys for one or several of them."""
    if isinstance(keys, (list, tuple, set, frozenset)):
        return list(keys)
    return [cast("Keys", keys)]


def own_keys() -> "list[Keys]":
    """Return the files of the program's own user that say who he is; LocalProtocolError if there is none."""
    folder = os.path.join(os.path.expanduser("~"), ".ssh")
    paths = [os.path.join(folder, name) for name in ("authorized_keys", *OWN_KEYS)]
    found: list[Keys] = [path for path in paths if os.access(path, os.R_OK)]
    if not found:
        raise LocalProtocolError(
            f"nobody could log in: there is neither authorized_keys nor a public key in {folder};"
            " give authorized_keys="
        )
    return found


# Without a loop.


class BackgroundManhole:
    """A manhole with a thread of its own, for programs that have no loop."""

    def __init__(self, thread: "ReactorThread", manhole: Manhole) -> None:
        self._thread = thread
        self.manhole = manhole  #: for the manhole's own thread

    @property
    def address(self) -> Any:
        """Where it listens."""
        return self.manhole.address

    @property
    def port(self) -> int:
        """The port; 0 for a UNIX socket."""
        return self.manhole.port

    @property
    def host_keys(self) -> "list[PublicKey]":
        """The public halves of the host keys."""
        return self.manhole.host_keys

    def close(self) -> None:
        """End every session, and the thread."""
        if self._thread.is_alive:
            try:
                self._thread.call(self.manhole.close, timeout=CLOSE_TIMEOUT)
            finally:
                self._thread.stop()

    def __enter__(self) -> "BackgroundManhole":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def start(
    namespace: dict[str, Any] | None = None, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> BackgroundManhole:
    """Open a manhole from a program without a loop: it runs in a daemon thread, beside the program.

    Takes what `serve` takes.  `threaded` is True here unless it is said: each session's code has a thread,
    so that one that does not end harms no other.  Locks of the program are the caller's business, as with
    any thread.
    """
    from sshkit.blocking.thread import ReactorThread

    thread = ReactorThread("direct")
    options.setdefault("threaded", True)
    try:
        manhole = thread.call(
            lambda: serve(namespace, host, port, reactor=thread.reactor, **options), timeout=CLOSE_TIMEOUT
        )
    except BaseException:
        thread.stop()
        raise
    return BackgroundManhole(thread, manhole)
