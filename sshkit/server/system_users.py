"""The system's users, as sshkit-server lets them in: by their keys, certificates and passwords.

`SystemUsers` is the users object of the daemon.  A server that root runs serves every account; any other one
serves the account that runs it.  A name that is not let in costs the same work as one that is: files are read
and a password is hashed, and the result is thrown away (R9).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.server.accounts import NOBODY, Account, find_account
from sshkit.server.key_limits import KeyLimits
from sshkit.server.login_rules import AccountLogins, LoginRules
from sshkit.server.users import Refusal, Users

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.deferred import Deferred
    from sshkit.server.commands import SessionTerms
    from sshkit.server.login_policy import PolicyOwner
    from sshkit.server.server import Settings


class Terms(NamedTuple):
    """What holds for one user from one place: what the configuration's blocks come to."""

    rules: LoginRules = LoginRules()
    settings: "Settings | None" = None  #: None: the server's
    sessions: "SessionTerms | None" = None


#: From a name, its account (or None) and whoever logs in to what holds.
TermsFor = Callable[[str, "Account | None", "PolicyOwner"], Terms]


class SystemUsers(Users):
    """One account and every other name refused, or all accounts."""

    takes_certificates = True

    def __init__(
        self,
        account: Account | None,
        rules: LoginRules = LoginRules(),  # noqa: B008 - immutable
        terms_for: TermsFor | None = None,
    ) -> None:
        """Serve `account`, None serves all; `terms_for` says what holds for whom, without it `rules` do.

        Raises AccountError for a bad token, PasswordsUnavailable where passwords cannot be checked.
        """
        super().__init__()
        self.account = account
        self.terms_for = terms_for or (lambda *_: Terms(rules))
        self.rules = rules
        AccountLogins(account or NOBODY, rules)
        if rules.passwords or rules.interactive:
            from sshkit.server.system_passwords import PasswordCheck

            PasswordCheck((account or NOBODY).name)

    def methods(self) -> tuple[str, ...]:
        """Return the methods for those about whom nothing else is said."""
        return AccountLogins(self.account or NOBODY, self.rules).methods()

    def for_connection(self, connection: "PolicyOwner") -> "SystemLogin":
        return SystemLogin(self, connection)

    def check_key(self, user: str, key: "PublicKey") -> Any:
        raise AssertionError("only logins of a connection are checked")

    def check_password(self, user: str, password: str) -> Any:
        raise AssertionError("only logins of a connection are checked")

    def find(self, user: str) -> tuple[Account, str | None]:
        """Return whose files and password are looked at for a name, and why it is refused all the same."""
        user = user.partition(":")[0]  # what follows is a style of authentication, which nobody has here
        account = self.account
        if account is not None:
            other = f"this server runs as {account.name} and lets nobody else in"
            return account, None if user == account.name else other
        found = find_account(user)
        return (NOBODY, "there is no such user") if found is None else (found, None)


class SystemLogin:
    """One connection's view of the users: where it comes from is known, and who is asked for."""

    __slots__ = ("_connection", "_refusal", "_user", "_users", "chains", "judge", "terms")
    takes_certificates = True

    def __init__(self, users: SystemUsers, connection: "PolicyOwner") -> None:
        self._users = users
        self._connection = connection
        self._user: str | None = None  # who was looked up
        self._refusal: str | None = None
        self.terms = Terms(users.rules)
        self.judge = AccountLogins(users.account or NOBODY, users.rules)
        self.chains = users.rules.chains

    @property
    def settings(self) -> "Settings | None":
        """What the configuration says for this user, beyond the login."""
        return self.terms.settings

    @property
    def account(self) -> Account:
        """The account of who was looked up."""
        return self.judge.account

    def prepare(self, user: str) -> None:
        """Look a user up, and what holds for him."""
        users, connection = self._users, self._connection
        account, refusal = users.find(user)
        self.terms = terms = users.terms_for(user, None if refusal else account, connection)
        self.judge = AccountLogins(account, terms.rules)
        self.chains = terms.rules.chains
        self._user = user
        self._refusal = self.judge.refusal(connection.source) if refusal is None else refusal

    def methods(self) -> tuple[str, ...]:
        """Return the methods that are switched on."""
        return self.judge.methods()

    def allows_none(self, user: str) -> bool:
        """Let nobody in without proof."""
        return False

    def check_key(self, user: str, key: "PublicKey") -> "KeyLimits | Refusal":
        """Return what the key's line allows."""
        reason = self._reason(user)
        found = self.judge.find_key(key, self._connection.source)  # for every name: all cost the same
        return found if reason is None else Refusal(reason)

    def check_password(self, user: str, password: str) -> "Deferred[bool | Refusal]":
        """Check the account's password, whoever is asked for."""
        from sshkit.server.system_passwords import PasswordCheck

        reason = self._reason(user) or self.judge.password_refusal()

        def judge(right: bool) -> bool | Refusal:
            if reason is not None:
                return Refusal(reason)
            return right or Refusal("wrong password")

        checked = PasswordCheck(self.judge.account.name).check(password)
        return checked.add_callback(judge)

    def _reason(self, user: str) -> str | None:
        if user != self._user:
            self.prepare(user)
        return self._refusal
