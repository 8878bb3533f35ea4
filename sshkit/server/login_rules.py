"""What the configuration says about logging in to one account: who may, with which keys.

`system_users` asks, with the rules that hold for the user.  Files of the user's are read with the user's
rights; what is found in none of them costs the same work for every name (R9).
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sshkit_keys.errors import KeyFileError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.text import printable

from sshkit.server.accounts import Account, account_fault, group_names, key_paths
from sshkit.server.key_limits import KeyLimits, LineRefused, address_matches, limits_of
from sshkit.server.login_files import login_files
from sshkit.server.privileges import acting_as
from sshkit.server.users import Refusal
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX

if TYPE_CHECKING:
    from sshkit_keys import PublicKey
    from sshkit_keys.authorized_keys import AuthorizedEntry, AuthorizedKeys
    from sshkit_keys.authorized_principals import AuthorizedPrincipals
    from sshkit_keys.certificates import Certificate

    from sshkit.server.system_hosts import HostRules

DEFAULT_KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
#: Values of PermitRootLogin: whether root may log in by key and by password.
ROOT_LOGINS = ("yes", "prohibit-password", "forced-commands-only", "no")


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
    chains: tuple[tuple[str, ...], ...] = ()  #: ways in: methods that are needed one after the other
    authorities: str | None = None  #: file of the keys whose certificates let in
    principals: str | None = None  #: file of the names that a certificate may bear, with tokens
    revoked: str | None = None  #: a revocation list, or a file of public keys
    key_options: frozenset[str] = frozenset()  #: PubkeyAuthOptions
    refused: bool = False  #: RefuseConnection: whoever comes from there
    keys_command: tuple[str, str] | None = None  #: AuthorizedKeysCommand and who runs it
    principals_command: tuple[str, str] | None = None
    hosts: "HostRules | None" = None  #: HostbasedAuthentication; None: no
    pam: str | None = None  #: UsePAM: the service; None: no
    permit_empty: bool = False  #: passwords that are empty let in, where PAM checks them


def is_prohibited(users: Any) -> bool:
    """Say whether who logs in is refused by RefuseConnection, and his connection with him."""
    terms = getattr(users, "terms", None)
    return terms is not None and bool(terms.rules.refused)


class AccountLogins:
    """One account, and what the rules say about it."""

    __slots__ = ("account", "paths", "principal_paths", "rules")

    def __init__(self, account: Account, rules: LoginRules = LoginRules()) -> None:  # noqa: B008 - immutable
        """Raises AccountError for a bad token."""
        self.account = account
        self.rules = rules
        self.paths = key_paths(rules.key_files, account)
        principals = (rules.principals,) if rules.principals is not None else ()
        self.principal_paths = key_paths(principals, account, "AuthorizedPrincipalsFile")

    def methods(self) -> tuple[str, ...]:
        """Return the methods that are switched on."""
        rules = self.rules
        offered = (rules.keys, "publickey"), (rules.passwords, "password")
        more = (rules.interactive, "keyboard-interactive"), (rules.hosts is not None, "hostbased")
        return tuple(name for wanted, name in (*offered, *more) if wanted)

    def refusal(self, source: str) -> str | None:
        """Return why nobody may log in from `source` whatever the proof, or None."""
        rules, account = self.rules, self.account
        user = account.name
        if rules.refused:
            return "RefuseConnection is yes"
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
        return account_fault(account)

    def find_key(
        self,
        key: "PublicKey",
        source: str,
        lines: "AuthorizedKeys | None" = None,
        principals: "AuthorizedPrincipals | None" = None,
    ) -> "KeyLimits | Refusal":
        """Look a key up in the account's files; the first line that may be obeyed counts.

        `lines` and `principals` are what commands have found: they come first.
        """

        refusal = self._unusable(key)
        if refusal is not None:
            return refusal
        if key.key_type.endswith(CERTIFICATE_SUFFIX):
            found = self._find_certificate(cast("Certificate", key), source, lines, principals)
        else:
            found = self._find_plain(key, source, lines)
        return found.demanding(self.rules.key_options) if isinstance(found, KeyLimits) else found

    def _find_plain(
        self, key: "PublicKey", source: str, lines: "AuthorizedKeys | None"
    ) -> "KeyLimits | Refusal":
        reasons: list[str] = []
        for entry in self._entries(key, reasons, lines):
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

    def _entries(
        self, key: "PublicKey", reasons: list[str], lines: "AuthorizedKeys | None"
    ) -> "Iterator[AuthorizedEntry]":
        """Yield the lines of a key in the account's files; why there are none is added to `reasons`."""
        if lines is not None:
            reasons += lines.warnings
            yield from lines.entries
        from sshkit_keys.authorized_keys import load_authorized_keys

        account = self.account
        with acting_as(account):
            paths = list(login_files(self.paths))
        for path in paths:
            try:
                with acting_as(account):
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

    def _find_certificate(
        self,
        certificate: "Certificate",
        source: str,
        lines: "AuthorizedKeys | None",
        principals: "AuthorizedPrincipals | None",
    ) -> "KeyLimits | Refusal":
        """Look for somebody who vouches: TrustedUserCAKeys, then cert-authority lines."""
        from sshkit.server.certificate_logins import limits_by_line, limits_of_certificate, together

        reasons: list[str] = []
        try:
            if self._trusts(certificate, reasons):
                limits = self._limits_of_trusted(certificate, source, principals)
                if not self._lacks_command(limits):
                    return limits
                reasons.append(f"{limits.place}: PermitRootLogin wants a forced command")
        except LineRefused as error:
            reasons.append(str(error))
        for entry in self._entries(certificate.authority, reasons, lines):
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

    def _limits_of_trusted(
        self, certificate: "Certificate", source: str, principals: "AuthorizedPrincipals | None"
    ) -> KeyLimits:
        """Return the limits of a certificate whose authority is trusted; raises LineRefused."""
        from sshkit_keys.authorized_principals import load_authorized_principals

        from sshkit.server.certificate_logins import limits_of_certificate, together

        if self.rules.principals is None and self.rules.principals_command is None:
            return limits_of_certificate(certificate, self.account.name, source)
        own = limits_of_certificate(certificate, None, source)
        reasons: list[str] = []
        if principals is not None:
            reasons += principals.warnings
            listed = principals.find(certificate.principals)
            if listed is not None:
                return together(own, limits_of(listed, source))
        with acting_as(self.account):
            paths = list(login_files(self.principal_paths))
        for path in paths:
            try:
                with acting_as(self.account):
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


def _matching(patterns: Sequence[str], user: str, source: str) -> str | None:
    """Return the first of AllowUsers' or DenyUsers' patterns, USER or USER@HOST, that matches."""
    for pattern in patterns:
        name, at, host = pattern.rpartition("@")
        if not at:
            name = pattern
        if matches_glob(name, user) and (not at or address_matches(source, host)):
            return pattern
    return None
