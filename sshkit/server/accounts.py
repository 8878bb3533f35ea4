"""The account that a server without special rights can serve: its own user's.

`SystemUsers` decides who logs in to sshkit-server, by authorized_keys files and, where the configuration
and the system allow it, by the system's password.  A name that is not let in costs the same work as one
that is: its files are read and its password is hashed, and the result is thrown away (R9).
"""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.text import printable, quoted

from sshkit.server.key_limits import KeyLimits, LineRefused, limits_of
from sshkit.server.users import Refusal, Users
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX

if TYPE_CHECKING:
    from sshkit_keys import PublicKey
    from sshkit_keys.authorized_keys import AuthorizedEntry
    from sshkit_keys.certificates import Certificate

    from sshkit.deferred import Deferred
    from sshkit.server.connection import ServerConnection

DEFAULT_KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
#: Values of PermitRootLogin: whether root may log in by key and by password.
ROOT_LOGINS = ("yes", "prohibit-password", "forced-commands-only", "no")


class AccountError(SSHKitError):
    """The system does not tell what is needed about the user who runs the server."""


class Account(NamedTuple):
    """A line of the system's user database."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


def own_account() -> Account:
    """Return the account of the user who runs this process."""
    from pwd import getpwuid

    uid = os.geteuid()
    try:
        entry = getpwuid(uid)
    except KeyError:
        raise AccountError(f"user number {uid} has no name: it is not in the user database") from None
    return Account(entry.pw_name, uid, entry.pw_gid, entry.pw_dir, entry.pw_shell or "/bin/sh")


class LoginRules(NamedTuple):
    """What the configuration says about logging in."""

    key_files: tuple[str, ...] = DEFAULT_KEY_FILES  #: with %h %u %U %%; relative ones lie in the home
    strict_modes: bool = True
    allow_users: tuple[str, ...] = ()
    deny_users: tuple[str, ...] = ()
    allow_groups: tuple[str, ...] = ()
    deny_groups: tuple[str, ...] = ()
    permit_root: str = "prohibit-password"
    keys: bool = True
    passwords: bool = False
    interactive: bool = False
    forced_command: bool = False  #: the configuration forces a command on everybody
    required_rsa_size: int = 2048  #: bits
    chain: tuple[str, ...] = ()  #: methods that are needed one after the other
    authorities: str | None = None  #: file of the keys whose certificates let in
    principals: str | None = None  #: file of the names that a certificate may bear, with tokens
    revoked: str | None = None  #: a revocation list, or a file of public keys


class SystemUsers(Users):
    """One account, and every other name refused."""

    takes_certificates = True

    def __init__(self, account: Account, rules: LoginRules = LoginRules()) -> None:  # noqa: B008 - immutable
        """Raises AccountError for a bad token, PasswordsUnavailable where passwords cannot be checked."""
        super().__init__(chain=rules.chain)
        self.account = account
        self.rules = rules
        self.paths = key_paths(rules.key_files, account)
        principals = (rules.principals,) if rules.principals is not None else ()
        self.principal_paths = key_paths(principals, account, "AuthorizedPrincipalsFile")
        self.password_check: Any = None
        if rules.passwords or rules.interactive:
            from sshkit.server.system_passwords import PasswordCheck

            self.password_check = PasswordCheck(account.name)

    def methods(self) -> tuple[str, ...]:
        rules = self.rules
        offered = (rules.keys, "publickey"), (rules.passwords, "password")
        more = (rules.interactive, "keyboard-interactive")
        return tuple(name for wanted, name in (*offered, more) if wanted)

    def for_connection(self, connection: "ServerConnection") -> "SystemLogin":
        return SystemLogin(self, connection)

    def check_key(self, user: str, key: "PublicKey") -> Any:
        raise AssertionError("only logins of a connection are checked")

    def check_password(self, user: str, password: str) -> Any:
        raise AssertionError("only logins of a connection are checked")

    def refusal(self, user: str, source: str) -> str | None:
        """Return why `user` may not log in from `source` whatever the proof, or None."""
        rules, account = self.rules, self.account
        if user != account.name:
            return f"this server runs as {account.name} and lets nobody else in"
        if account.uid == 0 and rules.permit_root == "no":
            return "PermitRootLogin is no"
        pattern = _matching(rules.deny_users, user, source)
        if pattern is not None:
            return f"DenyUsers {printable(pattern)}"
        if rules.allow_users and _matching(rules.allow_users, user, source) is None:
            return "not listed in AllowUsers"
        if rules.deny_groups or rules.allow_groups:
            groups = group_names(account)
            for group in groups:
                if any(matches_glob(pattern, group) for pattern in rules.deny_groups):
                    return f"DenyGroups has group {printable(group)}"
            if rules.allow_groups and not any(
                matches_glob(pattern, group) for pattern in rules.allow_groups for group in groups
            ):
                return "no group is listed in AllowGroups"
        return None

    def find_key(self, key: "PublicKey", source: str) -> "KeyLimits | Refusal":
        """Look a key up in the account's files; the first line that may be obeyed counts."""

        refusal = self._unusable(key)
        if refusal is not None:
            return refusal
        if key.key_type.endswith(CERTIFICATE_SUFFIX):
            return self._find_certificate(cast("Certificate", key), source)
        reasons: list[str] = []
        for entry in self._entries(key, reasons):
            try:
                limits = limits_of(entry, source)
            except LineRefused as error:
                reasons.append(str(error))
                continue
            if self._lacks_command(limits):
                reasons.append(f"{printable(entry.place)}: PermitRootLogin wants a forced command")
                continue
            return limits
        return Refusal("; ".join(reasons) or "no file of keys is configured")

    def _unusable(self, key: "PublicKey") -> Refusal | None:
        """Return why a key may not be used whatever a file says: too short, or revoked."""
        rules = self.rules
        if key.key_type.startswith("ssh-rsa") and key.bits < rules.required_rsa_size:
            return Refusal(f"RSA with {key.bits} bits, RequiredRSASize is {rules.required_rsa_size}")
        if rules.revoked is not None:
            from sshkit_keys.revocation import RevocationList

            try:
                RevocationList.load(rules.revoked).check(key)
            except KeyFileError as error:  # a list that cannot be read revokes every key
                return Refusal(f"RevokedKeys: {error}")
            except OSError as error:
                return Refusal(f"RevokedKeys: {printable(rules.revoked)}: {error.strerror}")
        return None

    def _entries(self, key: "PublicKey", reasons: list[str]) -> "Iterator[AuthorizedEntry]":
        """Yield the lines of a key in the account's files; why there are none is added to `reasons`."""
        from sshkit_keys.authorized_keys import load_authorized_keys

        account = self.account
        for path in self.paths:
            try:
                if self.rules.strict_modes:
                    found = load_authorized_keys(path, key, account.uid, account.home)
                else:
                    found = load_authorized_keys(path, key)
            except FileNotFoundError:
                reasons.append(f"{printable(path)} does not exist")
                continue
            except OSError as error:
                reasons.append(f"{printable(path)}: {error.strerror}")
                continue
            except KeyFileError as error:
                reasons.append(str(error))
                continue
            reasons += found.warnings
            if not found.entries:
                reasons.append(f"the key is not in {printable(path)}")
            yield from found.entries

    def _find_certificate(self, certificate: "Certificate", source: str) -> "KeyLimits | Refusal":
        """Look for somebody who vouches: TrustedUserCAKeys, then cert-authority lines."""
        from sshkit.server.certificate_logins import limits_by_line, limits_of_certificate, together

        reasons: list[str] = []
        try:
            if self._trusts(certificate, reasons):
                limits = self._limits_of_trusted(certificate, source)
                if not self._lacks_command(limits):
                    return limits
                reasons.append(f"{limits.place}: PermitRootLogin wants a forced command")
        except LineRefused as error:
            reasons.append(str(error))
        for entry in self._entries(certificate.authority, reasons):
            try:
                named = None if "principals" in entry.options else self.account.name
                own = limits_of_certificate(certificate, named, source)
                limits = together(own, limits_by_line(certificate, entry, source))
            except LineRefused as error:
                reasons.append(str(error))
                continue
            if not self._lacks_command(limits):
                return limits
            reasons.append(f"{printable(entry.place)}: PermitRootLogin wants a forced command")
        return Refusal("; ".join(reasons) or "nobody vouches for the certificate")

    def _trusts(self, certificate: "Certificate", reasons: list[str]) -> bool:
        from sshkit.server.certificate_logins import is_trusted_authority

        path = self.rules.authorities
        if path is None:
            return False
        try:
            trusted = is_trusted_authority(certificate, path)
        except (OSError, KeyFileError) as error:
            cause = error.strerror if isinstance(error, OSError) else error.cause
            reasons.append(f"TrustedUserCAKeys: {printable(path)}: {cause}")
            return False
        if not trusted:
            reasons.append(f"its authority is not in {printable(path)}")
        return trusted

    def _limits_of_trusted(self, certificate: "Certificate", source: str) -> KeyLimits:
        """Return the limits of a certificate whose authority is trusted; raises LineRefused."""
        from sshkit_keys.authorized_principals import load_authorized_principals

        from sshkit.server.certificate_logins import limits_of_certificate, together

        if self.rules.principals is None:
            return limits_of_certificate(certificate, self.account.name, source)
        own = limits_of_certificate(certificate, None, source)
        reasons: list[str] = []
        for path in self.principal_paths:
            try:
                if self.rules.strict_modes:
                    found = load_authorized_principals(path, self.account.uid, self.account.home)
                else:
                    found = load_authorized_principals(path)
            except OSError as error:
                reasons.append(f"{printable(path)}: {error.strerror}")
                continue
            except KeyFileError as error:
                reasons.append(str(error))
                continue
            entry = found.find(certificate.principals)
            if entry is not None:
                return together(own, limits_of(entry, source))
            reasons += [*found.warnings, f"none of the certificate's principals is in {printable(path)}"]
        raise LineRefused("; ".join(reasons) or "AuthorizedPrincipalsFile is none")

    def _lacks_command(self, limits: KeyLimits) -> bool:
        return self._forced_only() and limits.command is None and not self.rules.forced_command

    def _forced_only(self) -> bool:
        return self.account.uid == 0 and self.rules.permit_root == "forced-commands-only"

    def password_refusal(self) -> str | None:
        """Return why passwords let nobody in, or None."""
        if self.account.uid == 0 and self.rules.permit_root != "yes":
            return f"PermitRootLogin is {self.rules.permit_root}"
        return None


class SystemLogin:
    """One connection's view of the account: where it comes from is known."""

    __slots__ = ("_connection", "_users", "chain")
    takes_certificates = True

    def __init__(self, users: SystemUsers, connection: "ServerConnection") -> None:
        self._users = users
        self._connection = connection
        self.chain = users.chain

    def methods(self) -> tuple[str, ...]:
        """Return the methods that are switched on."""
        return self._users.methods()

    def allows_none(self, user: str) -> bool:
        """Let nobody in without proof."""
        return False

    def check_key(self, user: str, key: "PublicKey") -> "KeyLimits | Refusal":
        """Return what the key's line allows."""
        source = self._connection.source
        found = self._users.find_key(key, source)  # first, so that every name costs the same
        reason = self._users.refusal(user, source)
        return found if reason is None else Refusal(reason)

    def check_password(self, user: str, password: str) -> "Deferred[bool | Refusal]":
        """Check the account's password, whoever is asked for."""
        reason = self._users.refusal(user, self._connection.source) or self._users.password_refusal()

        def judge(right: bool) -> bool | Refusal:
            if reason is not None:
                return Refusal(reason)
            return right or Refusal("wrong password")

        checked: Deferred[bool | Refusal] = self._users.password_check.check(password).add_callback(judge)
        return checked


def key_paths(
    patterns: Sequence[str], account: Account, keyword: str = "AuthorizedKeysFile"
) -> tuple[str, ...]:
    """Return the paths of a keyword with their tokens replaced; raises AccountError for a bad token."""
    tokens = {"h": account.home, "u": account.name, "U": str(account.uid), "%": "%"}
    paths = []
    for pattern in patterns:
        if pattern.lower() == "none":
            continue
        parts: list[str] = []
        pieces = iter(pattern)
        for char in pieces:
            if char == "%":
                token = next(pieces, "")
                if token not in tokens:
                    raise AccountError(f"{keyword} {quoted(pattern)}: %{printable(token)} is no token")
                char = tokens[token]
            parts.append(char)
        paths.append(os.path.join(account.home, "".join(parts)))
    return tuple(paths)


def group_names(account: Account) -> list[str]:
    """Return the names of the account's groups."""
    from grp import getgrgid

    names = []
    for number in os.getgrouplist(account.name, account.gid):
        try:
            names.append(getgrgid(number).gr_name)
        except KeyError:
            continue
    return names


def _matching(patterns: Sequence[str], user: str, source: str) -> str | None:
    """Return the first of AllowUsers' or DenyUsers' patterns, USER or USER@HOST, that matches."""
    from sshkit.server.key_limits import address_matches

    for pattern in patterns:
        name, at, host = pattern.rpartition("@")
        if not at:
            name = pattern
        if matches_glob(name, user) and (not at or address_matches(source, host)):
            return pattern
    return None
