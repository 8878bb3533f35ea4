"""Who somebody is, and what he gets: portal, realm, checkers, avatars.

A program has a *realm*, which makes an *avatar* (whatever its users act through) for an avatar id; *checkers*
turn credentials into such ids; a *portal* holds both.  `sshkit.PortalUsers(portal)` lets a server use one.
Level 3: no protocol is known here, so mail, chat and shell can share a portal.
"""

from sshkit.cred.checkers import Anybody, Checkers, KeyChecker, PasswordChecker
from sshkit.cred.credentials import (
    Anonymous,
    IAnonymous,
    ISSHPublicKey,
    IUsernamePassword,
    SSHPublicKey,
    UsernamePassword,
)
from sshkit.cred.errors import CredError, LoginFailed, NoCheckerError, RealmRefused
from sshkit.cred.password_file import PasswordFile, PasswordFileError
from sshkit.cred.portal import (
    CredentialsChecker,
    ICredentialsChecker,
    IRealm,
    Login,
    Portal,
    Realm,
)

__all__ = [
    "Anonymous",
    "Anybody",
    "Checkers",
    "CredError",
    "CredentialsChecker",
    "IAnonymous",
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
    "Realm",
    "RealmRefused",
    "SSHPublicKey",
    "UsernamePassword",
]
