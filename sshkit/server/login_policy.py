"""What a server answers while somebody logs in: the users object's word, as verdicts (RFC 4252).

`ServerConnection` makes one for each client; where privileges are separated, the monitor does, and the
process that speaks with the client asks over a socket.  It keeps what a login has reached so far: with chains
of methods (AuthenticationMethods), a method that was passed opens the next one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sshkit_keys.text import printable

from sshkit.deferred import Deferred, maybe_deferred
from sshkit.ssh.authentication.methods.public_key import SignatureFlags, flags_fault
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import Grant, Partial, PasswordExpired, Verdict

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.server.server import Settings
    from sshkit.server.users import Logins

MAX_ANSWER = 1024  #: bytes of a password (R10)
#: One way to be let in: names of methods, one after the other.
Chain = tuple[str, ...]


class PolicyOwner(Protocol):
    """Who made the policy: he knows where the client is, and is told the outcome."""

    @property
    def settings(self) -> "Settings": ...

    @property
    def source(self) -> str: ...

    def addresses(self) -> tuple[str, int, str, int]: ...

    def log(self, level: str, text: str, error: BaseException | None = None) -> None: ...

    def granted(self, grant: Grant) -> None: ...

    def login_failed(self, user: str, method: str) -> None: ...


class LoginPolicy:
    """The policy of one connection (`sshkit.ssh.authentication.server.AuthenticationPolicy`)."""

    judges_flags = True  #: what a security key saw when it signed (R6)
    __slots__ = ("_keys", "_left", "_owner", "_proof", "_refusal", "_user", "passed", "users")

    def __init__(self, owner: PolicyOwner, users: "Logins") -> None:
        self._owner = owner
        self.users = users
        self._user = ""  # whose login the rest is about
        self._left: tuple[Chain, ...] = ()  # what is left of each chain; empty: there are none
        self._keys: set[str] = set()  # those that were a part of the login: none counts twice
        self._refusal = ""  # why the request in work was refused, for the log
        self._proof: PublicKey | None = None  # the key of the request in work
        self.passed: list[tuple[str, PublicKey | None]] = []  #: what the login is made of, with keys

    def prepare(self, user: str) -> Any:
        """Look the user up, where the users object does so before anything else; may be a Deferred."""
        prepare = getattr(self.users, "prepare", None)
        return None if prepare is None else prepare(user)

    @property
    def settings(self) -> "Settings":
        """What holds for the user who was looked up."""
        return getattr(self.users, "settings", None) or self._owner.settings

    @property
    def user_keys(self) -> tuple[str, ...]:
        """The algorithms of keys that he may use."""
        return self.settings.algorithms.user_keys

    @property
    def max_tries(self) -> int:
        """How many may fail."""
        return self.settings.max_tries

    @property
    def takes_certificates(self) -> bool:
        """A program's own object may not have heard of them: then none reaches it."""
        return getattr(self.users, "takes_certificates", False)

    def methods(self, user: str) -> tuple[str, ...]:
        """Return the methods to begin with.

        Asked only where nothing that was passed counts any more: at the start, and for another user.
        """
        self._user, self._left, self._keys = user, self._chains(), set()
        self.passed = []
        return self._next() if self._left else self.users.methods()

    def none(self, user: str) -> "Verdict | Deferred[Verdict]":
        """Decide on a login without any proof."""
        return self._judge(user, "none", maybe_deferred(self.users.allows_none, user))

    def public_key(
        self, user: str, key: "PublicKey", signed: bool, flags: "SignatureFlags | None" = None
    ) -> "Verdict | Deferred[Verdict]":
        """Decide on a key; `flags` are those of a security key's signature."""
        # Where a mere question and a proof are not the same: a question leaves nothing behind (R4).
        check = getattr(self.users, "check_signed_key", None) if signed else None
        answer = maybe_deferred(check or self.users.check_key, user, key)
        fingerprint = key.fingerprint()
        self._proof = key if signed else None
        if signed and fingerprint in self._keys:
            return self._refuse(f"{key.key_type} {fingerprint}: it was a part of this login already")
        name = f"{key.key_type} {fingerprint}"
        return self._judge(user, "publickey", answer, name, signed, fingerprint, flags)

    def password(self, user: str, password: str) -> "Verdict | Deferred[Verdict]":
        """Decide on a password."""
        return self._judge(user, "password", maybe_deferred(self.users.check_password, user, password))

    def interactive(self, user: str, answers: Sequence[str] | None) -> "Questions | Verdict | Deferred[Any]":
        """Ask for the password, unless the users object has questions of its own."""
        ask = getattr(self.users, "ask", None)
        if ask is not None:
            return self._judge(user, "keyboard-interactive", maybe_deferred(ask, user, answers))
        if answers is None:
            return Questions([("Password: ", False)])
        if len(answers) != 1 or len(answers[0].encode()) > MAX_ANSWER:
            return None
        answer = maybe_deferred(self.users.check_password, user, answers[0])
        return self._judge(user, "keyboard-interactive", answer)

    def change_password(self, user: str, old: str, new: str) -> "Verdict | Deferred[Verdict]":
        """Decide on a change of the password."""
        answer = maybe_deferred(self._asked("change_password"), user, old, new)
        return self._judge(user, "password", answer)

    def host_based(
        self, user: str, key: "PublicKey", host: str, local_user: str
    ) -> "Verdict | Deferred[Verdict]":
        """Decide on a host that vouches for its user."""
        answer = maybe_deferred(self._asked("check_host"), user, key, host, local_user)
        name = f"{key.key_type} {key.fingerprint()} of {printable(host)}"
        return self._judge(user, "hostbased", answer, name)

    @property
    def gssapi(self) -> Any:
        """Who takes tickets, or None."""
        return getattr(self.users, "gssapi", None)

    def gssapi_user(self, user: str, principal: str) -> "Verdict | Deferred[Verdict]":
        """Decide on a ticket's owner."""
        answer = maybe_deferred(self._asked("check_principal"), user, principal)
        return self._judge(user, "gssapi-with-mic", answer, printable(principal))

    def banner(self, user: str) -> str:
        """Return the text to show before the login."""
        return self.settings.banner

    def attempt_failed(self, user: str, method: str, detail: str) -> None:
        """Log a refusal with its reason."""
        reason, self._refusal = self._refusal or detail, ""
        self._owner.log("info", f"{self._owner.source}: login of {user!r} by {method} failed: {reason}")
        self._owner.login_failed(user, method)

    def granted(self, grant: Grant) -> None:
        """Hand it on."""
        self._owner.granted(grant)

    # Inside.

    def _asked(self, name: str) -> Any:
        """Return a method of the users object; one that has not heard of it refuses."""
        return getattr(self.users, name, lambda *_: False)

    def _chains(self) -> tuple[Chain, ...]:
        chains: tuple[Chain, ...] | None = getattr(self.users, "chains", None)
        if chains is None:
            chain = tuple(getattr(self.users, "chain", ()))
            chains = (chain,) if chain else ()
        return chains

    def _next(self) -> tuple[str, ...]:
        """Return the methods that go on with any chain, in the order of the chains."""
        return tuple(dict.fromkeys(_method(chain[0]) for chain in self._left))

    def _refuse(self, reason: str) -> Verdict:
        self._refusal = reason
        return None

    def _judge(
        self,
        user: str,
        method: str,
        answer: "Deferred[Any]",
        key: str | None = None,
        final: bool = True,
        fingerprint: str = "",
        flags: "SignatureFlags | None" = None,
    ) -> "Verdict | Deferred[Verdict]":
        """Turn what the users object says into a verdict; `final` is false for a mere question."""

        def judge(options: Any) -> Any:
            if isinstance(options, Questions) or (
                isinstance(options, PasswordExpired) and method == "password"
            ):
                return options
            if not options or isinstance(options, PasswordExpired):  # no other method can change it
                words = (key, getattr(options, "reason", ""))
                return self._refuse(": ".join(word for word in words if word))
            fault = flags_fault(options, flags)
            if fault:
                return self._refuse(f"{key}: {fault}")
            if final:
                self.passed.append((method, self._proof if method == "publickey" else None))
            if final and self._chains():
                if user != self._user:
                    self._user, self._left, self._keys = user, self._chains(), set()
                if method not in self._next():
                    return None
                self._left = tuple(
                    chain[1:] if _method(chain[0]) == method else chain for chain in self._left
                )
                if fingerprint:
                    self._keys.add(fingerprint)
                if all(self._left):
                    return Partial(self._next())
            return Grant(user, method, key, None if options is True else options)

        verdict: Deferred[Verdict] = answer.add_callback(judge)
        return verdict


def _method(entry: str) -> str:
    """Return the method of an entry such as "keyboard-interactive:pam"."""
    return entry.partition(":")[0]
