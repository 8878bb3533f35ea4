"""Who somebody is, and what he gets: portal, realm, checkers, avatars.

A program has a *realm*, which makes an *avatar* (whatever its users act through) for an avatar id; *checkers*
turn credentials into such ids; a *portal* holds both.  `sshkit.PortalUsers(portal)` lets a server use one.
Level 3: no protocol is known here, so mail, chat and shell can share a portal.
"""

from sshkit.cred.challenges import Challenge, ChallengeAnswer
from sshkit.cred.checkers import Anybody, Checkers, FunctionChecker, KeyChecker, PasswordChecker
from sshkit.cred.credentials import (
    Anonymous,
    IAnonymous,
    IChallengeAnswer,
    ISSHPublicKey,
    IUsernamePassword,
    SSHPublicKey,
    UsernamePassword,
)
from sshkit.cred.errors import (
    CheckerFailed,
    CredError,
    HashError,
    LoginFailed,
    NoCheckerError,
    RealmRefused,
)
from sshkit.cred.password_file import PasswordFile, PasswordFileError
from sshkit.cred.password_hashes import hash_password
from sshkit.cred.portal import (
    AvatarMaker,
    CredentialsChecker,
    ICredentialsChecker,
    IRealm,
    Login,
    Portal,
    Realm,
)
from sshkit.cred.query_checker import QueryChecker

__all__ = [
    "Anonymous",
    "Anybody",
    "AvatarMaker",
    "Challenge",
    "ChallengeAnswer",
    "CheckerFailed",
    "Checkers",
    "CredError",
    "CredentialsChecker",
    "FunctionChecker",
    "HashError",
    "IAnonymous",
    "IChallengeAnswer",
    "ICredentialsChecker",
    "IRealm",
    "ISSHPublicKey",
    "IUsernamePassword",
    "KeyChecker",
    "Login",
    "LoginFailed",
    "NoCheckerError",
    "PasswordChecker",
    "PasswordFile",
    "PasswordFileError",
    "Portal",
    "QueryChecker",
    "Realm",
    "RealmRefused",
    "SSHPublicKey",
    "UsernamePassword",
    "hash_password",
]
