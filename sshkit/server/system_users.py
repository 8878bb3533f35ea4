"""The system's users, as sshkit-server lets them in: by their keys, certificates and passwords.

`SystemUsers` is the users object of the daemon.  A server that root runs serves every account; any other one
serves the account that runs it.  A name that is not let in costs the same work as one that is: files are read
and a password is hashed, and the result is thrown away (R9).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sshkit.deferred import Deferred, gather, maybe_deferred, succeed
from sshkit.server.accounts import NOBODY, Account, find_account
from sshkit.server.key_limits import KeyLimits
from sshkit.server.login_rules import AccountLogins, LoginRules
from sshkit.server.users import Refusal, Users
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import PasswordExpired

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Reactor
    from sshkit.server.commands import SessionTerms
    from sshkit.server.login_policy import PolicyOwner
    from sshkit.server.pam import PamLogin
    from sshkit.server.server import Settings


MAX_ANSWER = 1024  #: bytes of a password (R10)


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
        if (rules.passwords or rules.interactive) and rules.pam is None:
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

    __slots__ = ("_connection", "_pam", "_refusal", "_user", "_users", "chains", "judge", "terms")
    takes_certificates = True

    def __init__(self, users: SystemUsers, connection: "PolicyOwner") -> None:
        self._users = users
        self._connection = connection
        self._pam: PamLogin | None = None
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

    @property
    def pam_environment(self) -> Mapping[str, str]:
        """What modules of the login want in the session."""
        return {} if self._pam is None else self._pam.environment

    @property
    def shown(self) -> str:
        """What modules of the login want the user to see."""
        return "" if self._pam is None else self._pam.shown

    def prepare(self, user: str) -> None:
        """Look a user up, and what holds for him."""
        users, connection = self._users, self._connection
        account, refusal = users.find(user)
        self.terms = terms = users.terms_for(user, None if refusal else account, connection)
        self.judge = AccountLogins(account, terms.rules)
        self.chains = terms.rules.chains
        self._user = user
        self._refusal = self.judge.refusal(connection.source) if refusal is None else refusal
        self.connection_ended()
        if terms.rules.pam is not None:
            from sshkit.reactor.current import current
            from sshkit.server.pam import PamFacts, PamLogin

            # PAM hears the name that was given: work and time are the same for names that are nobody's.
            name = user.partition(":")[0]
            facts = PamFacts(name, connection.source, terms.rules.pam, terms.rules.permit_empty)
            self._pam = PamLogin(cast("Reactor", current()), facts, self._refusal)

    def connection_ended(self) -> None:
        """Give up what is under way."""
        pam, self._pam = self._pam, None
        if pam is not None:
            pam.close()

    def methods(self) -> tuple[str, ...]:
        """Return the methods that are switched on."""
        return self.judge.methods()

    def allows_none(self, user: str) -> bool:
        """Let nobody in without proof."""
        return False

    def check_key(self, user: str, key: "PublicKey") -> "KeyLimits | Refusal | Deferred[Any]":
        """Return what the key's line allows."""
        reason = self._reason(user)
        rules = self.terms.rules
        if reason is None and (rules.keys_command is not None or rules.principals_command is not None):
            return self._ask_commands(key)
        found = self.judge.find_key(key, self._connection.source)  # for every name: all cost the same
        return found if reason is None else Refusal(reason)

    def check_signed_key(self, user: str, key: "PublicKey") -> Any:
        """Return the same for a key that was proved; with PAM the account has to be in order, too."""
        checked = maybe_deferred(self.check_key, user, key)
        pam = self._pam
        if pam is None:
            return checked

        def look(found: Any) -> Any:
            if not found:
                return found
            pam.refusal = self._refusal  # what holds for passwords only is not asked here

            def judge(fine: Any) -> Any:
                if isinstance(fine, PasswordExpired):
                    return Refusal("the password has expired: log in by password to change it")
                return found if fine is True else fine

            return pam.check_account().add_callback(judge)

        return checked.add_callback(look)

    def check_password(self, user: str, password: str) -> "Deferred[Any]":
        """Check the account's password, whoever is asked for."""
        reason = self._password_reason(user)
        if self._pam is not None:
            return self._pam.check_password(password)
        from sshkit.server.system_passwords import PasswordCheck

        def judge(right: bool) -> bool | Refusal:
            if reason is not None:
                return Refusal(reason)
            return right or Refusal("wrong password")

        checked = PasswordCheck(self.judge.account.name).check(password)
        return checked.add_callback(judge)

    def change_password(self, user: str, old: str, new: str) -> Any:
        """Change an expired password, where PAM does that."""
        if self._password_reason(user) is not None or self._pam is None:
            return Refusal("passwords are not changed here")
        return self._pam.change_password(old, new)

    def ask(self, user: str, answers: Sequence[str] | None) -> Any:
        """Go on with the dialogue of keyboard-interactive: PAM's, or a question for the password."""
        self._password_reason(user)
        if self._pam is not None:
            return self._pam.ask(answers)
        if answers is None:
            return Questions([("Password: ", False)])
        if len(answers) != 1 or len(answers[0].encode()) > MAX_ANSWER:
            return Refusal("not one answer")
        return self.check_password(user, answers[0])

    def check_host(self, user: str, key: "PublicKey", host: str, local_user: str) -> Any:
        """Judge a host that vouches for its user."""
        reason, rules = self._reason(user), self.terms.rules.hosts
        if rules is None:
            return Refusal("HostbasedAuthentication is no")
        from sshkit.reactor.current import current
        from sshkit.server.system_hosts import addresses_in_child, check_host

        reactor = cast("Reactor", current())
        judged = maybe_deferred(
            check_host,
            self.judge.account,
            rules,
            key,
            host,
            local_user,
            self._connection.source,
            lambda name: addresses_in_child(reactor, name),
        )
        return judged.add_callback(lambda found: found if reason is None else Refusal(reason))

    def _ask_commands(self, key: "PublicKey") -> "Deferred[Any]":
        """Run AuthorizedKeysCommand and AuthorizedPrincipalsCommand; then look into the files as well."""
        from sshkit.reactor.current import current
        from sshkit.server.keys_command import Endpoints, find_keys, find_principals

        reactor, rules, account = cast("Reactor", current()), self.terms.rules, self.judge.account
        endpoints = Endpoints(*self._connection.addresses())
        faults: list[str] = []

        def run(find: Any, command: tuple[str, str] | None) -> "Deferred[Any]":
            if command is None:
                return succeed(None)
            runner = find_account(command[1])
            if runner is None:
                faults.append(f"there is no user {command[1]} to run {command[0]}")
                return succeed(None)
            found = maybe_deferred(find, reactor, command[0], runner, account, key, endpoints)
            return found.add_errback(lambda failure: faults.append(str(failure.exception)))

        certified = key.key_type.endswith(CERTIFICATE_SUFFIX)
        waits = gather(
            run(find_keys, rules.keys_command),
            run(find_principals, rules.principals_command if certified else None),
        )

        def judge(found: Any) -> "KeyLimits | Refusal":
            answer = self.judge.find_key(key, self._connection.source, *found)
            if isinstance(answer, Refusal) and faults:
                return Refusal("; ".join((*faults, answer.reason)))
            return answer

        return waits.add_callback(judge)

    def _reason(self, user: str) -> str | None:
        if user != self._user:
            self.prepare(user)
        return self._refusal

    def _password_reason(self, user: str) -> str | None:
        """Return why no password lets in; PAM is told, too."""
        reason = self._reason(user) or self.judge.password_refusal()
        if self._pam is not None:
            self._pam.refusal = reason
        return reason
