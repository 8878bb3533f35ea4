"""From a configuration to what a server is made of: keys, settings, users, sessions.

Called by the command sshkit-server, which reads the files.  Every mistake is found, not only the first.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import KeyFileError
from sshkit_keys.text import printable, quoted

from sshkit.config.parser import ConfigError, Setting
from sshkit.server.accounts import Account, AccountError, LoginRules, SystemUsers
from sshkit.server.commands import LoginSessions
from sshkit.server.forward_policy import ForwardPolicy, X11Policy
from sshkit.server.limits import MaxStartups
from sshkit.server.server import Settings
from sshkit.server.system_passwords import PasswordsUnavailable
from sshkit.ssh.algorithms import Algorithms
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.transport.rekeying import DEFAULT_BYTES, DEFAULT_SECONDS, RekeyLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sshkit_keys import CertifiedKey, PrivateKey

    from sshkit.config.sshd_config import ListenPlace, ServerOptions
    from sshkit.interfaces import Reactor

MAX_BANNER = 64 * 1024  #: bytes; a packet holds them with room to spare


class Plan(NamedTuple):
    """Everything that a server is made of, before there is a reactor."""

    account: Account
    host_keys: "tuple[PrivateKey | CertifiedKey, ...]"
    settings: Settings
    users: SystemUsers
    places: "list[ListenPlace]"
    options: "ServerOptions"

    def sessions(self, reactor: "Reactor") -> LoginSessions:
        """Return what starts the programs."""
        options = self.options
        return LoginSessions(
            reactor,
            self.account,
            subsystems=dict(reversed(options.subsystems.value)),
            forced_command=options.force_command.value,
            environment=dict(reversed(options.set_env.value)),
        )


class Planner:
    """Turns options into a Plan; mistakes are added to `options.errors`."""

    def __init__(self, options: "ServerOptions", account: Account) -> None:
        self.options = options
        self.account = account

    def make(self, own_key: str | None = None) -> Plan:
        """Return the plan; raises ConfigErrors.  `own_key` is the host key where none is configured."""
        options = self.options
        host_keys = self._host_keys(own_key)
        settings = self._settings()
        users = self._users()
        options.check()
        assert users is not None
        return Plan(self.account, host_keys, settings, users, options.listen_places(), options)

    def _wrong(self, setting: Setting[Any], cause: str) -> None:
        self.options.errors.append(ConfigError(cause, setting.place))

    def _host_keys(self, own_key: str | None) -> "tuple[PrivateKey | CertifiedKey, ...]":
        from sshkit_keys import load_private_key

        setting = self.options.host_keys
        keys: list[PrivateKey] = []
        for path in setting.value or ((own_key,) if own_key is not None else ()):
            try:
                key = load_private_key(path)
            except KeyFileError as error:
                self._wrong(setting, f"HostKey: {error}")
            except OSError as error:
                self._wrong(setting, f"HostKey: {printable(path)}: {error.strerror}")
            else:
                if (
                    key.public.key_type == "ssh-rsa"
                    and key.public.bits < self.options.required_rsa_size.value
                ):
                    self._wrong(setting, f"HostKey: {printable(path)}: RSA with {key.public.bits} bits")
                keys.append(key)
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

    def _settings(self) -> Settings:
        options = self.options
        rekey = options.rekey_limit.value
        return Settings(
            algorithms=self._algorithms(),
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
            banner=self._banner(),
            accept_env=options.accept_env.value,
            permit_terminal=options.permit_tty.value,
            version_addendum=options.version_addendum.value,
            forwards=self._forwards(),
        )

    def _forwards(self) -> ForwardPolicy | None:
        options = self.options
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
            x11=self._x11() if x11 else None,
            tunnel=tunnel,
        )

    def _x11(self) -> X11Policy:
        from sshkit.server.login_environment import own_variables

        options = self.options
        return X11Policy(
            display_offset=options.x11_display_offset.value,
            use_localhost=options.x11_use_localhost.value,
            xauth=options.xauth_location.value,
            environment=own_variables(self.account),
        )

    def _algorithms(self) -> Algorithms:
        options = self.options
        algorithms = Algorithms()
        edits = {
            "KexAlgorithms": ("key_exchanges", options.kex_algorithms),
            "HostKeyAlgorithms": ("host_keys", options.host_key_algorithms),
            "Ciphers": ("ciphers", options.ciphers),
            "MACs": ("macs", options.macs),
            "PubkeyAcceptedAlgorithms": ("user_keys", options.pubkey_accepted_algorithms),
        }
        for keyword, (category, setting) in edits.items():
            try:
                algorithms = algorithms.edited(**{category: setting.value})
            except LocalProtocolError as error:
                self._wrong(setting, f"{keyword}: {error}")
        return algorithms

    def _banner(self) -> str:
        setting = self.options.banner
        if setting.value is None:
            return ""
        try:
            with open(setting.value, "rb") as file:
                data = file.read(MAX_BANNER + 1)
        except OSError as error:
            self._wrong(setting, f"Banner: {printable(setting.value)}: {error.strerror}")
            return ""
        if len(data) > MAX_BANNER:
            self._wrong(setting, f"Banner: {printable(setting.value)}: more than {MAX_BANNER} bytes")
        return data.decode("utf-8", "replace")

    def _users(self) -> SystemUsers | None:
        options = self.options
        rules = LoginRules(
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
            chain=options.authentication_methods.value,
            authorities=options.trusted_user_ca_keys.value,
            principals=options.authorized_principals_file.value,
            revoked=options.revoked_keys.value,
        )
        try:
            users = SystemUsers(self.account, rules)
        except AccountError as error:
            principals = str(error).startswith("AuthorizedPrincipalsFile")
            at = options.authorized_principals_file if principals else options.authorized_keys_files
            self._wrong(at, str(error))
            return None
        except PasswordsUnavailable as error:
            passwords = options.password_authentication
            self._wrong(passwords if rules.passwords else options.interactive_authentication, str(error))
            return None
        methods = users.methods()
        for method in rules.chain:
            if method not in methods:
                self._wrong(
                    options.authentication_methods,
                    f"AuthenticationMethods: {quoted(method)} is not switched on",
                )
        if not methods:
            self._wrong(options.pubkey_authentication, "no method of authentication is switched on")
        return users
