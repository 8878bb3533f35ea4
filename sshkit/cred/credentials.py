"""What somebody shows to prove who he is.  Each kind is an interface; a checker says which it takes.

Made by whoever speaks a protocol (`PortalUsers` for SSH), read by checkers.  No repr shows a secret (R43).
"""

from typing import TYPE_CHECKING, Protocol

from sshkit.interfaces import implementer, interface

if TYPE_CHECKING:
    from sshkit_keys import PublicKey


class NamedPassword(Protocol):
    """A name and a password."""

    username: str
    password: str


class NamedKey(Protocol):
    """A name and a public key of SSH."""

    username: str
    key: "PublicKey"
    signed: bool


class NamedAnswer(Protocol):
    """A name and the answer to a challenge, which shows that somebody knows the password."""

    username: str

    def is_answered_by(self, password: str) -> bool:
        """Tell whether who knows `password` gives this answer; compares in constant time."""
        ...


class Nobody(Protocol):
    """No name and no proof."""


IUsernamePassword = interface(NamedPassword)
ISSHPublicKey = interface(NamedKey)
IChallengeAnswer = interface(NamedAnswer)
IAnonymous = interface(Nobody)


@implementer(IUsernamePassword)
class UsernamePassword:
    """A name and a password, as typed."""

    __slots__ = ("password", "username")

    def __init__(self, username: str, password: str) -> None:
        self.username = username
        self.password = password

    def __repr__(self) -> str:
        return f"<UsernamePassword {self.username!r}>"


@implementer(ISSHPublicKey)
class SSHPublicKey:
    """A name and a public key.

    The protocol has verified the signature where `signed`; else it only asks whether the key would do, and no
    avatar may come of it (R4).
    """

    __slots__ = ("key", "signed", "username")

    def __init__(self, username: str, key: "PublicKey", signed: bool = True) -> None:
        self.username = username
        self.key = key
        self.signed = signed

    def __repr__(self) -> str:
        return f"<SSHPublicKey {self.username!r} {self.key.fingerprint()}>"


@implementer(IAnonymous)
class Anonymous:
    """Somebody who shows nothing."""

    __slots__ = ()
