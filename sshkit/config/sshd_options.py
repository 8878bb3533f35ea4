"""The settings of a server: each with its type, its default and the place that set it.

`sshd_config` fills it; whoever serves reads it.  To add a keyword: an attribute here, a line in KEYWORDS of
`sshd_keywords` and one in `sshd_meanings`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sshkit_keys.authorized_options import Permit
from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from .parser import ConfigError, Line, Place, Setting
from .sshd_addresses import AddressList
from .sshd_keywords import ALIASES, BLOCK, GONE, KEYWORDS, LIST
from .sshd_values import MetricsAddress, PenaltyParts, PenaltyTimes, names_a_host, penalty_times
from .sshd_without_effect import WITHOUT_EFFECT
from .values import RekeyLimit

if TYPE_CHECKING:
    from .sshd_match import Block, MatchFacts

#: Combinations of blocks whose outcome is kept; more are possible only with very many blocks.
MAX_KEPT = 256
#: Lists of algorithms that may differ from connection to connection.
_LISTS = {
    "ca_algorithms": "CASignatureAlgorithms",
    "hostbased_algorithms": "HostbasedAcceptedAlgorithms",
    "pubkey_accepted_algorithms": "PubkeyAcceptedAlgorithms",
}


class ConfigErrors(SSHKitError):
    """Everything that is wrong with a configuration, a line each."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


class ListenPlace(NamedTuple):
    """Where to listen; host "" is every address."""

    host: str
    port: int
    place: Place


class ServerOptions:
    """The settings outside of every Match block, or (`for_connection`) those of one connection.

    An attribute that no line set has its default and the place "default".
    """

    accept_env: Setting[tuple[str, ...]]
    address_family: Setting[str]
    allow_agent_forwarding: Setting[bool]
    allow_groups: Setting[tuple[str, ...]]
    allow_stream_local_forwarding: Setting[str]
    allow_tcp_forwarding: Setting[str]
    allow_users: Setting[tuple[str, ...]]
    authentication_chains: Setting[tuple[tuple[str, ...], ...]]
    authorized_keys_command: Setting[str | None]
    authorized_keys_command_user: Setting[str | None]
    authorized_keys_files: Setting[tuple[str, ...]]
    authorized_principals_command: Setting[str | None]
    authorized_principals_command_user: Setting[str | None]
    authorized_principals_file: Setting[str | None]
    banner: Setting[str | None]
    ca_algorithms: Setting[str | None]
    channel_timeouts: Setting[tuple[tuple[str, int], ...]]
    chroot_directory: Setting[str | None]
    ciphers: Setting[str | None]
    client_alive_count_max: Setting[int]
    client_alive_interval: Setting[int]
    compression: Setting[bool]
    debian_banner: Setting[bool]
    deny_groups: Setting[tuple[str, ...]]
    deny_users: Setting[tuple[str, ...]]
    disable_forwarding: Setting[bool]
    expose_auth_info: Setting[bool]
    fingerprint_hash: Setting[str]
    force_command: Setting[str | None]
    gateway_ports: Setting[Literal["no", "yes", "clientspecified"]]
    gssapi_authentication: Setting[bool]
    gssapi_cleanup_credentials: Setting[bool]
    gssapi_delegate_credentials: Setting[bool]
    gssapi_enable_k5users: Setting[bool]
    gssapi_kex_algorithms: Setting[str | None]
    gssapi_key_exchange: Setting[bool]
    gssapi_store_credentials_on_rekey: Setting[bool]
    gssapi_strict_acceptor_check: Setting[bool]
    host_certificates: Setting[tuple[str, ...]]
    host_key_agent: Setting[str | None]
    host_key_algorithms: Setting[str | None]
    host_keys: Setting[tuple[str, ...]]
    hostbased_algorithms: Setting[str | None]
    hostbased_authentication: Setting[bool]
    hostbased_uses_name_from_packet_only: Setting[bool]
    ignore_rhosts: Setting[str]
    ignore_user_known_hosts: Setting[bool]
    interactive_authentication: Setting[bool]
    ip_qos: Setting[tuple[int | None, int | None]]
    kerberos_authentication: Setting[bool]
    kerberos_get_afs_token: Setting[bool]
    kerberos_or_local_password: Setting[bool]
    kerberos_ticket_cleanup: Setting[bool]
    kex_algorithms: Setting[str | None]
    listen_addresses: Setting[tuple[tuple[str, int | None], ...]]
    log_format: Setting[str]
    log_level: Setting[int]
    log_verbose: Setting[tuple[str, ...]]
    login_grace_time: Setting[int]
    macs: Setting[str | None]
    max_auth_tries: Setting[int]
    max_sessions: Setting[int]
    max_startups: Setting[tuple[int, int, int]]
    metrics_address: Setting[MetricsAddress | None]
    moduli_file: Setting[str | None]
    pam_service_name: Setting[str]
    password_authentication: Setting[bool]
    penalty_exempt: Setting[AddressList | None]
    penalty_parts: Setting[PenaltyParts]
    per_source_max_startups: Setting[int | None]
    per_source_net_block_size: Setting[tuple[int, int]]
    permit_empty_passwords: Setting[bool]
    permit_listen: Setting[tuple[Permit, ...] | None]
    permit_open: Setting[tuple[Permit, ...] | None]
    permit_root_login: Setting[str]
    permit_tty: Setting[bool]
    permit_tunnel: Setting[Literal["no", "yes", "point-to-point", "ethernet"]]
    permit_user_environment: Setting[str | None]
    permit_user_rc: Setting[bool]
    pid_file: Setting[str | None]
    ports: Setting[tuple[int, ...]]
    print_last_log: Setting[bool]
    print_motd: Setting[bool]
    proxy_protocol: Setting[str]
    proxy_protocol_from: Setting[AddressList | None]
    pubkey_accepted_algorithms: Setting[str | None]
    pubkey_auth_options: Setting[frozenset[str]]
    pubkey_authentication: Setting[bool]
    rdomain: Setting[str | None]
    refuse_connection: Setting[bool]
    rekey_limit: Setting[RekeyLimit]
    required_rsa_size: Setting[int]
    revoked_keys: Setting[str | None]
    security_key_provider: Setting[str]
    set_env: Setting[tuple[tuple[str, str], ...]]
    sshd_auth_path: Setting[str | None]
    sshd_session_path: Setting[str | None]
    stream_local_bind_mask: Setting[int]
    stream_local_bind_unlink: Setting[bool]
    strict_modes: Setting[bool]
    subsystems: Setting[tuple[tuple[str, str], ...]]
    syslog_facility: Setting[str]
    tcp_keep_alive: Setting[bool]
    trusted_user_ca_keys: Setting[str | None]
    unused_connection_timeout: Setting[int]
    use_dns: Setting[bool]
    use_pam: Setting[bool]
    version_addendum: Setting[str]
    workers: Setting[int]
    x11_display_offset: Setting[int]
    x11_forwarding: Setting[bool]
    x11_use_localhost: Setting[bool]
    xauth_location: Setting[str]

    def __init__(self, defaults: Mapping[str, Any] | None = None) -> None:
        """Begin with sshd's defaults; `defaults` (attribute -> value) come first."""
        self.notes: list[str] = []  #: lines that were read and have no effect
        self.errors: list[ConfigError] = []
        self.blocks: list[Block] = []  #: Match blocks in their order
        own = defaults or {}
        for keyword in KEYWORDS.values():
            name = keyword.attribute
            setattr(self, name, Setting(own.get(name, keyword.default)))
        self._set: set[str] = set()
        self._ports_closed = False
        self._outcomes: dict[tuple[int, ...], ServerOptions] = {}

    # What two keywords make together.

    @property
    def authentication_methods(self) -> Setting[tuple[str, ...]]:
        """The first chain of AuthenticationMethods, without devices; empty: any method."""
        chains = self.authentication_chains
        first = chains.value[0] if chains.value else ()
        return Setting(tuple(method.partition(":")[0] for method in first), chains.place)

    @property
    def per_source_penalties(self) -> Setting[PenaltyTimes | None]:
        """PerSourcePenalties; None: no penalties."""
        return Setting(penalty_times(self.penalty_parts.value), self.penalty_parts.place)

    def listen_places(self) -> list[ListenPlace]:
        """Return every place to listen at: addresses without a port have all of `ports`."""
        ports = self.ports.value
        addresses = self.listen_addresses
        places: list[ListenPlace] = []
        for host, port in addresses.value or (("*", None),):
            host = "" if host == "*" else host
            for number in ports if port is None else (port,):
                place = ListenPlace(host, number, addresses.place)
                if place not in places:
                    places.append(place)
        return places

    # Connections.

    @property
    def has_blocks(self) -> bool:
        """Say whether there are Match blocks, so that connections may differ."""
        return bool(self.blocks)

    def needs_facts(self) -> bool:
        """Say whether `for_connection` would look at its facts."""
        return self.has_blocks

    def for_connection(self, facts: "MatchFacts") -> "ServerOptions":
        """Return the settings of one connection: those of the blocks that match, over the global ones.

        Of several blocks the first that sets a keyword counts; lists of several blocks add up, in place of
        the global list.  The same object is returned for the same blocks: do not change it.
        """
        if not self.blocks:
            return self
        from .sshd_match import Evaluation

        evaluation = Evaluation(facts)
        matching = tuple(index for index, block in enumerate(self.blocks) if evaluation.matches(block))
        if not matching:
            return self
        known = self._outcomes.get(matching)
        if known is None:
            known = self._merged(matching)
            if len(self._outcomes) < MAX_KEPT:
                self._outcomes[matching] = known
        return known

    def _merged(self, matching: tuple[int, ...]) -> "ServerOptions":
        settings: dict[str, Setting[Any]] = {}
        for index in matching:
            for name, setting, adds in self.blocks[index].settings:
                old = settings.get(name)
                if old is None:
                    settings[name] = setting
                elif adds:
                    settings[name] = Setting((*old.value, *setting.value), old.place)
        merged = ServerOptions.__new__(ServerOptions)
        merged.__dict__.update(self.__dict__)
        merged.__dict__.update(settings)
        merged.blocks = []
        merged._outcomes = {}
        return merged

    # Reading.

    def take(self, line: Line, block: "Block | None" = None) -> None:
        """Obey one line (in a block: keep it), or note what is wrong with it."""
        try:
            self._take(line, block)
        except ConfigError as error:
            self.errors.append(error)

    def close_ports(self) -> None:
        """Let further lines add no port: those of the command line replace those of files."""
        self._ports_closed = "ports" in self._set

    def finish(self) -> None:
        """Note what is wrong with lines taken together, and with what only a connection would show."""
        self._check_command("AuthorizedKeysCommand", "authorized_keys_command")
        self._check_command("AuthorizedPrincipalsCommand", "authorized_principals_command")
        self._check_hosts("AllowUsers", self.allow_users)
        self._check_hosts("DenyUsers", self.deny_users)
        for block in self.blocks:
            for name, setting, _ in block.settings:
                if name in ("allow_users", "deny_users"):
                    self._check_hosts("AllowUsers" if name == "allow_users" else "DenyUsers", setting)
                elif name in _LISTS:
                    self._check_list(_LISTS[name], setting)

    def _check_command(self, spelled: str, name: str) -> None:
        """A command without anybody to run it as would never be run, and nobody would know why."""
        settings = [(name, getattr(self, name)), (f"{name}_user", getattr(self, f"{name}_user"))]
        settings += [(known, setting) for block in self.blocks for known, setting, _ in block.settings]
        users = [setting for known, setting in settings if known == f"{name}_user" and setting.value]
        for known, setting in settings:
            if known == name and setting.value and not users:
                self.errors.append(ConfigError(f"{spelled} without {spelled}User", setting.place))

    def _check_hosts(self, spelled: str, setting: Setting[tuple[str, ...]]) -> None:
        if self.use_dns.value:
            return
        for pattern in filter(names_a_host, setting.value):
            host = quoted(pattern.rpartition("@")[2])
            cause = f"{spelled}: {host}: names of hosts are not looked up; write addresses, or UseDNS yes"
            self.errors.append(ConfigError(cause, setting.place))

    def _check_list(self, spelled: str, setting: Setting[str | None]) -> None:
        """Look at a list of algorithms in a block; those of the global part are read before anybody comes."""
        from sshkit.ssh.algorithms import known_names

        from .algorithm_names import CATEGORIES, usable_list

        try:
            usable_list(spelled, setting, known_names(CATEGORIES[spelled]))
        except ConfigError as error:
            self.errors.append(error)

    def check(self) -> None:
        """Raise ConfigErrors if any line was wrong."""
        if self.errors:
            raise ConfigErrors(self.errors)

    def _take(self, line: Line, block: "Block | None") -> None:
        name = ALIASES.get(line.keyword, line.keyword)
        keyword = KEYWORDS.get(name)
        if keyword is None:
            if name in GONE:
                self.notes.append(f"{line.place}: {printable(line.spelled)} has no meaning any more")
                return
            line.fail(f"unknown keyword {quoted(line.spelled)}")
        if block is not None and not keyword.flags & BLOCK:
            line.fail(f"{line.spelled} is not allowed within a Match block")
        setting = Setting(keyword.read(line), line.place)
        without = WITHOUT_EFFECT.get(name)
        if without is not None and line.rest.strip().lower() not in without.neutral:
            self.notes.append(f"{line.place}: {without.spelled} has no effect: {without.reason}")
        if block is None:
            self._store(keyword.attribute, setting, bool(keyword.flags & LIST))
        else:
            block.store(keyword.attribute, setting, bool(keyword.flags & LIST))

    def _store(self, name: str, setting: Setting[Any], adds: bool) -> None:
        if name not in self._set:
            self._set.add(name)
        elif not adds or (name == "ports" and self._ports_closed):
            return
        else:
            old: Setting[Any] = getattr(self, name)
            setting = Setting((*old.value, *setting.value), old.place)
        setattr(self, name, setting)
