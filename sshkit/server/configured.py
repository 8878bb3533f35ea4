"""From a configuration to what a server is made of: keys, settings, users, sessions.

Called by the command sshkit-server, which reads the files.  Every mistake is found, not only the first.
`Planner` turns what holds for everybody into a Plan; `UserTerms` turns what Match blocks say about one user
into the terms of his login, each combination of blocks once.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sshkit_keys.errors import KeyFileError
from sshkit_keys.text import printable, quoted

from sshkit.config.algorithm_names import usable_list
from sshkit.config.parser import ConfigError, Setting
from sshkit.server.accounts import Account, AccountError
from sshkit.server.commands import LoginSessions, SessionTerms
from sshkit.server.forward_policy import ForwardPolicy, X11Policy
from sshkit.server.limits import MaxStartups
from sshkit.server.login_rules import LoginRules
from sshkit.server.moduli import with_moduli
from sshkit.server.server import Settings
from sshkit.server.system_passwords import PasswordsUnavailable
from sshkit.server.system_users import SystemUsers, Terms
from sshkit.ssh.algorithms import SERVER_DEFAULT, Algorithms, known_names
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.transport.rekeying import DEFAULT_BYTES, DEFAULT_SECONDS, RekeyLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sshkit_keys import CertifiedKey, PrivateKey, PublicKey

    from sshkit.config.sshd_config import ListenPlace, ServerOptions
    from sshkit.config.sshd_match import MatchFacts
    from sshkit.interfaces import Reactor
    from sshkit.server.login_policy import PolicyOwner
    from sshkit.server.system_hosts import HostRules

MAX_KEPT = 1024  #: terms that are kept
MAX_BANNER = 250 * 1024  #: bytes; a packet holds them with room to spare

#: From the paths of host keys to the keys, or what is wrong with each.
LoadKeys = Callable[[Sequence[str]], "list[PrivateKey | KeyFileError | OSError]"]


class Plan(NamedTuple):
    """Everything that a server is made of, before there is a reactor."""

    account: Account | None  #: who alone is served; None: all accounts
    host_keys: "tuple[PrivateKey | CertifiedKey, ...]"
    settings: Settings
    users: SystemUsers
    places: "list[ListenPlace]"
    options: "ServerOptions"

    @property
    def workers(self) -> int:
        """How many processes serve."""
        number = self.options.workers.value
        return number or os.cpu_count() or 1

    def sessions(self, reactor: "Reactor") -> LoginSessions:
        """Return what starts the programs."""
        return LoginSessions(reactor)


def load_keys(paths: Sequence[str]) -> "list[PrivateKey | KeyFileError | OSError]":
    """Read host keys in this process."""
    from sshkit_keys import load_private_key

    found: list[PrivateKey | KeyFileError | OSError] = []
    for path in paths:
        try:
            found.append(load_private_key(path))
        except (KeyFileError, OSError) as error:
            found.append(error)
    return found


class Planner:
    """Turns options into a Plan; mistakes are added to `options.errors`."""

    def __init__(
        self, options: "ServerOptions", account: Account | None, load_keys: LoadKeys = load_keys
    ) -> None:
        """Plan for one account, or (None) for all."""
        self.options = options
        self.account = account
        self._load_keys = load_keys

    def make(self, own_key: str | None = None) -> Plan:
        """Return the plan; raises ConfigErrors.  `own_key` is the host key where none is configured."""
        options = self.options
        host_keys = self._host_keys(own_key)
        terms = UserTerms(options, self._wrong)
        settings = terms.settings(options, self.account)
        users = self._users(terms)
        terms.report = _drop
        options.check()
        assert users is not None
        return Plan(self.account, host_keys, settings, users, options.listen_places(), options)

    def _wrong(self, setting: Setting[Any], cause: str) -> None:
        self.options.errors.append(ConfigError(cause, setting.place))

    def _host_keys(self, own_key: str | None) -> "tuple[PrivateKey | CertifiedKey, ...]":
        setting = self.options.host_keys
        keys: list[PrivateKey] = []
        paths = setting.value or ((own_key,) if own_key is not None else ())
        agent = self.options.host_key_agent.value
        for path, key in zip(paths, self._load_keys(paths), strict=True):
            if agent is not None and isinstance(key, (KeyFileError, FileNotFoundError)):
                public = _public_half(path)
                if public is not None:
                    keys.append(_key_in_agent(agent, public))
                    continue
            if setting.is_default and isinstance(key, FileNotFoundError):
                continue  # as with sshd, nobody has to have all kinds
            if isinstance(key, KeyFileError):
                self._wrong(setting, f"HostKey: {key}")
            elif isinstance(key, OSError):
                self._wrong(setting, f"HostKey: {printable(path)}: {key.strerror}")
            elif key.public.key_type == "ssh-rsa" and key.public.bits < self.options.required_rsa_size.value:
                self._wrong(setting, f"HostKey: {printable(path)}: RSA with {key.public.bits} bits")
            else:
                keys.append(key)
        if not keys and not self.options.errors:
            self._wrong(setting, f"HostKey: none of {', '.join(printable(path) for path in paths)} is there")
        return (*keys, *self._certified(keys))

    def _certified(self, keys: "list[PrivateKey]") -> "Iterator[CertifiedKey]":
        """Yield the host keys again that have a certificate."""
        from sshkit_keys import CertifiedKey, load_public_key
        from sshkit_keys.certificates import Certificate

        setting = self.options.host_certificates
        for path in setting.value:
            try:
                certificate = load_public_key(path)
            except (KeyFileError, OSError) as error:
                cause = error.cause if isinstance(error, KeyFileError) else error.strerror
                self._wrong(setting, f"HostCertificate: {printable(path)}: {cause}")
                continue
            if not isinstance(certificate, Certificate) or certificate.role != "host":
                self._wrong(setting, f"HostCertificate: {printable(path)}: not a certificate of a host")
                continue
            key = next((key for key in keys if key.public == certificate.key), None)
            if key is None:
                self._wrong(setting, f"HostCertificate: {printable(path)}: there is no HostKey for it")
            else:
                yield CertifiedKey(key, certificate)

    def _users(self, terms: "UserTerms") -> SystemUsers | None:
        options = self.options
        rules = terms.rules(options)
        try:
            users = SystemUsers(self.account, rules, terms)
        except AccountError as error:
            principals = str(error).startswith("AuthorizedPrincipalsFile")
            at = options.authorized_principals_file if principals else options.authorized_keys_files
            self._wrong(at, str(error))
            return None
        except PasswordsUnavailable as error:
            passwords, interactive = options.password_authentication, options.interactive_authentication
            if passwords.is_default and interactive.is_default:  # nobody has asked for them
                options.notes.append(str(error))
                options.password_authentication = options.interactive_authentication = Setting(False)
                return self._users(terms)
            self._wrong(passwords if rules.passwords else options.interactive_authentication, str(error))
            return None
        methods = users.methods()
        for method in dict.fromkeys(entry.partition(":")[0] for chain in rules.chains for entry in chain):
            if method not in methods and not options.has_blocks:
                self._wrong(
                    options.authentication_methods,
                    f"AuthenticationMethods: {quoted(method)} is not switched on",
                )
        if not methods and not options.has_blocks:
            self._wrong(options.pubkey_authentication, "no method of authentication is switched on")
        return users


def _public_half(path: str) -> "PublicKey | None":
    """Return the public key in a file, or in the one beside it; None where there is none."""
    from sshkit_keys import load_public_key

    for name in (path, f"{path}.pub"):
        try:
            return load_public_key(name)
        except (KeyFileError, OSError):
            continue
    return None


def _key_in_agent(path: str, public: "PublicKey") -> Any:
    """Return a host key that HostKeyAgent signs with, from whichever process asks."""
    from sshkit.agent.connect import connect_agent
    from sshkit.reactor.current import current
    from sshkit.server.host_key_agent import HostKeyAgent

    def connect() -> Any:
        wanted = None if path == "SSH_AUTH_SOCK" else path
        return connect_agent(wanted, reactor=cast("Reactor", current()))

    return HostKeyAgent(connect).key(public)


def _drop(setting: Setting[Any], cause: str) -> None:
    """Nobody is left who could be told: what a block of exceptions gets wrong has its defaults."""


class UserTerms:
    """What holds for whom: called with a name, its account (or None) and where the client is."""

    __slots__ = ("_kept", "_options", "report")

    def __init__(self, options: "ServerOptions", report: Callable[[Setting[Any], str], object]) -> None:
        self._options = options
        self._kept: dict[tuple[int, Account | None], tuple[ServerOptions, Terms]] = {}
        self.report = report  #: told of each mistake

    def __call__(self, user: str, account: Account | None, owner: "PolicyOwner") -> Terms:
        """Return the terms; those of one outcome of the blocks are made once."""
        options = self._options
        if options.has_blocks:
            options = options.for_connection(facts_of(user, account, owner))
        of_account = account if options.x11_forwarding.value else None
        key = (id(options), of_account)
        kept = self._kept.get(key)
        if kept is None or kept[0] is not options:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            terms = Terms(self.rules(options), self.settings(options, account), session_terms(options))
            kept = self._kept[key] = (options, terms)
        return kept[1]

    def rules(self, options: "ServerOptions") -> LoginRules:
        """Return who may log in, and how."""
        return LoginRules(
            key_files=options.authorized_keys_files.value,
            strict_modes=options.strict_modes.value,
            allow_users=options.allow_users.value,
            deny_users=options.deny_users.value,
            allow_groups=options.allow_groups.value,
            deny_groups=options.deny_groups.value,
            permit_root=options.permit_root_login.value,
            keys=options.pubkey_authentication.value,
            passwords=options.password_authentication.value,
            interactive=options.interactive_authentication.value,
            forced_command=options.force_command.value is not None,
            required_rsa_size=options.required_rsa_size.value,
            chains=tuple(chain for chain in options.authentication_chains.value if chain != ("any",)),
            authorities=options.trusted_user_ca_keys.value,
            principals=options.authorized_principals_file.value,
            revoked=options.revoked_keys.value,
            key_options=options.pubkey_auth_options.value,
            refused=options.refuse_connection.value,
            keys_command=_command(
                options.authorized_keys_command.value, options.authorized_keys_command_user.value
            ),
            principals_command=_command(
                options.authorized_principals_command.value, options.authorized_principals_command_user.value
            ),
            hosts=_host_rules(options) if options.hostbased_authentication.value else None,
            pam=options.pam_service_name.value if options.use_pam.value and not os.geteuid() else None,
            permit_empty=options.permit_empty_passwords.value,
        )

    def settings(self, options: "ServerOptions", account: Account | None = None) -> Settings:
        """Return what holds for a connection."""
        rekey = options.rekey_limit.value
        return Settings(
            algorithms=self._algorithms(options),
            rekey_limits=RekeyLimits(
                rekey.bytes or DEFAULT_BYTES, DEFAULT_SECONDS if rekey.seconds is None else rekey.seconds
            ),
            grace_time=options.login_grace_time.value,
            max_tries=options.max_auth_tries.value,
            max_startups=MaxStartups(*options.max_startups.value),
            max_startups_per_source=options.per_source_max_startups.value,
            source_blocks=options.per_source_net_block_size.value,
            max_sessions=options.max_sessions.value,
            # sshd takes a count of 0 for "ask, and never give up"; without giving up asking is no use.
            keepalive=options.client_alive_interval.value if options.client_alive_count_max.value else 0,
            keepalive_count=options.client_alive_count_max.value,
            banner=self._banner(options),
            accept_env=options.accept_env.value,
            permit_terminal=options.permit_tty.value,
            version_addendum=options.version_addendum.value,
            forwards=forwards_of(options, account),
            channel_timeouts=options.channel_timeouts.value,
            unused_timeout=options.unused_connection_timeout.value,
            announced_user_keys=self._announced(options),
        )

    def _announced(self, options: "ServerOptions") -> tuple[str, ...] | None:
        """Return the algorithms that some user may use, where Match blocks say something about them.

        Who wants in is not known yet when clients are told, and old ones are told once only.
        """
        attribute = "pubkey_accepted_algorithms"
        choices = [
            setting for block in options.blocks for name, setting, _ in block.settings if name == attribute
        ]
        if not choices:
            return None
        announced = dict.fromkeys(self._algorithms(options).user_keys)
        for setting in choices:
            try:
                text, _ = usable_list("PubkeyAcceptedAlgorithms", setting, known_names("user_keys"))
                announced |= dict.fromkeys(SERVER_DEFAULT.edited(user_keys=text).user_keys)
            except ConfigError as error:
                self.report(setting, error.cause)
        return tuple(announced)

    def _algorithms(self, options: "ServerOptions") -> Algorithms:
        algorithms = SERVER_DEFAULT
        edits = {
            "KexAlgorithms": ("key_exchanges", options.kex_algorithms),
            "HostKeyAlgorithms": ("host_keys", options.host_key_algorithms),
            "Ciphers": ("ciphers", options.ciphers),
            "MACs": ("macs", options.macs),
            "PubkeyAcceptedAlgorithms": ("user_keys", options.pubkey_accepted_algorithms),
            "HostbasedAcceptedAlgorithms": ("hostbased_keys", options.hostbased_algorithms),
            "CASignatureAlgorithms": ("ca_signatures", options.ca_algorithms),
        }
        for keyword, (category, setting) in edits.items():
            if setting.value is None:
                continue
            try:
                # What only OpenSSH has is left out: its own configurations name it.
                text, _ = usable_list(keyword, setting, known_names(category))
                algorithms = algorithms.edited(**{category: text})
            except LocalProtocolError as error:
                self.report(setting, f"{keyword}: {error}")
            except ConfigError as error:
                self.report(setting, error.cause)
        if not options.compression.value:
            algorithms = algorithms.edited(compressions="none")
        return with_moduli(algorithms, options.moduli_file.value, self._warn)

    def _warn(self, text: str) -> None:
        self._options.notes.append(text)

    def _banner(self, options: "ServerOptions") -> str:
        setting = options.banner
        if setting.value is None:
            return ""
        try:
            with open(setting.value, "rb") as file:
                data = file.read(MAX_BANNER + 1)
        except OSError:
            return ""  # as in sshd: it may come later
        if len(data) > MAX_BANNER:
            self.report(setting, f"Banner: {printable(setting.value)}: more than {MAX_BANNER} bytes")
        return data.decode("utf-8", "replace")


def forwards_of(options: "ServerOptions", account: Account | None) -> ForwardPolicy | None:
    """Return which forwards are served."""
    tcp, unix = options.allow_tcp_forwarding.value, options.allow_stream_local_forwarding.value
    agent, x11, tunnel = (
        options.allow_agent_forwarding.value,
        options.x11_forwarding.value,
        options.permit_tunnel.value,
    )
    if options.disable_forwarding.value or (tcp == unix == tunnel == "no" and not agent and not x11):
        return None
    return ForwardPolicy(
        open_tcp=tcp in ("yes", "local"),
        listen_tcp=tcp in ("yes", "remote"),
        open_unix=unix in ("yes", "local"),
        listen_unix=unix in ("yes", "remote"),
        gateway=options.gateway_ports.value,
        permit_open=options.permit_open.value,
        permit_listen=options.permit_listen.value,
        bind_mask=options.stream_local_bind_mask.value,
        unlink=options.stream_local_bind_unlink.value,
        agent=agent,
        x11=_x11(options, account) if x11 else None,
        tunnel=tunnel,
    )


def _x11(options: "ServerOptions", account: Account | None) -> X11Policy:
    from sshkit.server.login_environment import own_variables

    return X11Policy(
        display_offset=options.x11_display_offset.value,
        use_localhost=options.x11_use_localhost.value,
        xauth=options.xauth_location.value,
        environment=None if account is None else own_variables(account),
    )


def _command(command: str | None, user: str | None) -> tuple[str, str] | None:
    return None if command is None or user is None else (command, user)


def _host_rules(options: "ServerOptions") -> "HostRules":
    from sshkit.server.system_hosts import HostRules

    return HostRules(
        ignore_rhosts=options.ignore_rhosts.value,
        ignore_user_known_hosts=options.ignore_user_known_hosts.value,
        name_from_packet_only=options.hostbased_uses_name_from_packet_only.value,
        strict_modes=options.strict_modes.value,
    )


def session_terms(options: "ServerOptions") -> SessionTerms:
    """Return what holds for sessions."""
    return SessionTerms(
        subsystems=dict(reversed(options.subsystems.value)),
        forced_command=options.force_command.value,
        environment=dict(reversed(options.set_env.value)),
        root=options.chroot_directory.value,
        expose_methods=options.expose_auth_info.value,
        user_environment=options.permit_user_environment.value,
        user_rc=options.permit_user_rc.value,
        print_motd=options.print_motd.value,
        print_last_login=options.print_last_log.value,
    )


def facts_of(user: str, account: Account | None, owner: "PolicyOwner") -> "MatchFacts":
    """Return what Match blocks are held against."""
    from sshkit.config.sshd_match import MatchFacts
    from sshkit.server.accounts import group_names
    from sshkit.ssh.transport.identification import IDENTIFICATION

    _, _, local_address, local_port = owner.addresses()
    return MatchFacts(
        user=user,
        host=owner.source,
        address=owner.source,
        local_address=local_address,
        local_port=local_port,
        groups=() if account is None else lambda: group_names(account),
        invalid_user=account is None,
        version=IDENTIFICATION.decode().removeprefix("SSH-2.0-"),
    )
