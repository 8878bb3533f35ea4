"""Who may log in, and with what: the answers behind a server's authentication.

`Users` holds passwords and keys in memory; a program with users elsewhere overrides `check_key` and
`check_password`, which may answer with a Deferred or be coroutines.  An exception in either is a refusal.
"""

import os
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.ssh.authentication.methods.gssapi import Acceptor

#: Options of authorized_keys that this server obeys; a line with any other is refused, never half obeyed.
ENFORCED_OPTIONS: frozenset[str] = frozenset()


class Refusal:
    """A "no" with its reason, which is logged and never sent; false like any other no."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<Refusal {self.reason}>"


class Logins(Protocol):
    """Who answers for one connection; each answer may be a Deferred, and a `Refusal` is a no.

    `change_password`, `check_host`, `gssapi` and `check_principal` may be missing: see `Users`.  So may
    `chain`, or `chains` where more than one leads in; ``prepare(user)``, called before anything else about a
    user, with which methods and chains may change; ``ask(user, answers)``, the dialogue of
    keyboard-interactive; and `settings`, which hold from the login on.
    """

    @property
    def takes_certificates(self) -> bool: ...

    def methods(self) -> tuple[str, ...]: ...

    def allows_none(self, user: str) -> Any: ...

    def check_key(self, user: str, key: "PublicKey") -> Any: ...

    def check_password(self, user: str, password: str) -> Any: ...


class Users:
    """Users with passwords and keys.

    `passwords`: by user, plain text or a bcrypt hash (``$2b$...``).  `keys`: by user, public keys, lines of
    authorized_keys as text, or paths of such files (read at each login).  `chain`: methods that are needed
    one after the other, such as ("publickey", "password"); without it any one is enough.  `gssapi`: takes
    Kerberos tickets (`GSSAPIAcceptor`); `principals`: by user, whose ("user@REALM").
    """

    #: Whether `check_key` knows what a Certificate is and checks it whole; else none reaches it.
    takes_certificates = False

    def __init__(
        self,
        passwords: Mapping[str, str] | None = None,
        keys: "Mapping[str, Sequence[PublicKey | str | os.PathLike[str]]] | None" = None,
        *,
        chain: Sequence[str] = (),
        gssapi: "Acceptor | None" = None,
        principals: "Mapping[str, Sequence[str]] | None" = None,
    ) -> None:
        self.gssapi = gssapi
        self._principals = {user: tuple(names) for user, names in (principals or {}).items()}
        self._passwords = dict(passwords or {})
        self._keys = {user: tuple(sources) for user, sources in (keys or {}).items()}
        self.chain = tuple(chain)

    def methods(self) -> tuple[str, ...]:
        """Return the methods that can let anybody in, the same for every name (R9)."""
        methods: list[str] = []
        if self._keys or type(self).check_key is not Users.check_key:
            methods.append("publickey")
        if self._passwords or type(self).check_password is not Users.check_password:
            methods += ["password", "keyboard-interactive"]
        if type(self).check_host is not Users.check_host:
            methods.append("hostbased")
        if self.gssapi is not None:
            methods.append("gssapi-with-mic")
        return tuple(methods)

    def for_connection(self, connection: Any) -> "Logins":
        """Return who answers for one connection: this object, unless the client's address matters."""
        return self

    def check_key(self, user: str, key: "PublicKey") -> Any:
        """Return something true if `key` may log in as `user`; it becomes the grant's `options`.

        May return a Deferred or be a coroutine.  A `Refusal` is a no whose reason is logged.
        """
        return any(self._holds(source, key) for source in self._keys.get(user, ()))

    def check_password(self, user: str, password: str) -> Any:
        """Return something true if `password` is that of `user`; as `check_key`.

        `PasswordExpired` says that it is, and that `change_password` is to be called before.
        """
        stored = self._passwords.get(user)
        if stored is not None and stored.startswith("$2"):
            return _bcrypt_matches(password, stored)
        # Unknown users cost the same comparison; an empty stored password never matches (R10).
        same = compare_digest(password.encode(), (stored or "").encode())
        return same and bool(stored)

    def change_password(self, user: str, old: str, new: str) -> Any:
        """Return something true if `old` was right and `new` is the password now; it lets in.

        `PasswordExpired` says that `new` is not good enough.  Never, unless overridden.
        """
        return Refusal("passwords are not changed here")

    def check_host(self, user: str, key: "PublicKey", host: str, local_user: str) -> Any:
        """Return something true if `host`, by its `key`, vouches for its `local_user` being `user`.

        The signature was verified; whether the key is that host's was not.  Never, unless overridden:
        `HostUsers` looks in known hosts.
        """
        return False

    def check_principal(self, user: str, principal: str) -> Any:
        """Return something true if the GSSAPI name `principal` ("user@REALM") may log in as `user`."""
        return principal in self._principals.get(user, ())

    def allows_none(self, user: str) -> Any:
        """Return something true if `user` may log in without any proof.  Never, unless overridden."""
        return False

    def _holds(self, source: "PublicKey | str | os.PathLike[str]", key: "PublicKey") -> bool:
        from sshkit_keys import PublicKey, parse_authorized_keys
        from sshkit_keys.authorized_keys import load_authorized_keys

        if isinstance(source, PublicKey):
            return source == key
        if isinstance(source, str) and " " in source.strip():
            entries = parse_authorized_keys(source.encode(), "keys").find(key)
        else:
            entries = load_authorized_keys(source, key).find(key)
        return any(not entry.unenforced(ENFORCED_OPTIONS) for entry in entries)


class EveryUser(Users):
    """Keys that let in under any user name: for programs that do not tell users apart."""

    def __init__(self, keys: "Sequence[PublicKey | str | os.PathLike[str]]") -> None:
        super().__init__()
        self._sources = tuple(keys)

    def check_key(self, user: str, key: "PublicKey") -> Any:
        return any(self._holds(source, key) for source in self._sources)


def _bcrypt_matches(password: str, stored: str) -> Any:
    """Compare in a thread: bcrypt is slow on purpose."""
    import bcrypt

    from sshkit.reactor.current import current

    def check() -> bool:
        return bcrypt.checkpw(password.encode()[:72], stored.encode())

    return current().defer_to_thread(check)
