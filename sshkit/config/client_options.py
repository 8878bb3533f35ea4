"""The settings of one client connection: each with its type, its default and the place that set it.

`ssh_config` fills it; whoever connects reads it.  To add a keyword: an attribute here and a line in KEYWORDS
of `client_keywords`.
"""

from typing import Any, Final

from .client_keywords import ALIASES, KEYWORDS, LISTS, RIVALS
from .client_values import AgentAdding, Checking, PublicKeys, Terminal
from .forwards import Endpoint, Forward
from .parser import COMMAND_LINE, Line, Place, Setting
from .values import RekeyLimit

EXPEDITED: Final = 0xB8  #: the class of service for what somebody waits for (RFC 3246)
TILDE: Final = ord("~")


class ClientOptions:
    """What ssh_config files and the command line say about one host.

    Each attribute but the lists is a `Setting`: `.value`, and `.place` for who wants to know why.
    """

    __slots__ = (
        "add_keys_to_agent",
        "address_family",
        "batch_mode",
        "bind_address",
        "bind_interface",
        "ca_algorithms",
        "canonical_domains",
        "canonicalize_fallback_local",
        "canonicalize_hostname",
        "canonicalize_max_dots",
        "canonicalize_permitted_cnames",
        "certificate_files",
        "channel_timeouts",
        "check_host_ip",
        "ciphers",
        "clear_all_forwardings",
        "compression",
        "connect_timeout",
        "connection_attempts",
        "control_master",
        "control_path",
        "control_persist",
        "enable_escape_commandline",
        "enable_keysign",
        "escape_char",
        "exit_on_forward_failure",
        "fingerprint_hash",
        "fork_after_authentication",
        "forward_agent",
        "forward_x11",
        "forward_x11_timeout",
        "forward_x11_trusted",
        "forwards",
        "gateway_ports",
        "global_known_hosts",
        "gssapi_authentication",
        "gssapi_client_identity",
        "gssapi_delegate_credentials",
        "gssapi_server_identity",
        "gssapi_trust_dns",
        "hash_known_hosts",
        "host_key_algorithms",
        "host_key_alias",
        "hostbased_algorithms",
        "hostbased_authentication",
        "hostname",
        "identities_only",
        "identity_agent",
        "identity_files",
        "ignore_unknown",
        "interactive_authentication",
        "interactive_devices",
        "ip_qos",
        "key_exchanges",
        "known_hosts_command",
        "local_command",
        "log_level",
        "macs",
        "no_host_authentication_for_localhost",
        "notes",
        "obscure_keystroke_timing",
        "password_authentication",
        "password_prompts",
        "permit_local_command",
        "permit_remote_open",
        "port",
        "preferred_authentications",
        "proxy_command",
        "proxy_jump",
        "proxy_use_fdpass",
        "public_key_authentication",
        "rekey_limit",
        "remote_command",
        "request_tty",
        "required_rsa_size",
        "revoked_host_keys",
        "send_env",
        "server_alive_count",
        "server_alive_interval",
        "session_type",
        "set_env",
        "stdin_null",
        "stream_local_bind_mask",
        "stream_local_bind_unlink",
        "strict_host_key_checking",
        "syslog_facility",
        "tag",
        "tcp_keepalive",
        "tunnel",
        "tunnel_device",
        "update_host_keys",
        "user",
        "user_key_algorithms",
        "user_known_hosts",
        "verify_host_key_dns",
        "version_addendum",
        "visual_host_key",
        "warn_weak_crypto",
        "xauth_location",
    )

    def __init__(self) -> None:
        self.add_keys_to_agent = Setting(AgentAdding())
        self.address_family: Setting[str] = Setting("any")
        self.batch_mode = Setting(False)
        self.bind_address: Setting[str | None] = Setting(None)
        self.bind_interface: Setting[str | None] = Setting(None)
        self.ca_algorithms: Setting[str | None] = Setting(None)
        self.canonical_domains: Setting[tuple[str, ...]] = Setting(())
        self.canonicalize_fallback_local = Setting(True)
        self.canonicalize_hostname: Setting[str] = Setting("no")
        self.canonicalize_max_dots = Setting(1)
        self.canonicalize_permitted_cnames: Setting[tuple[tuple[str, str], ...]] = Setting(())
        self.channel_timeouts: Setting[tuple[tuple[str, int], ...]] = Setting(
            ()
        )  #: (kind's pattern, seconds)
        self.check_host_ip = Setting(False)
        self.ciphers: Setting[str | None] = Setting(None)
        self.clear_all_forwardings = Setting(False)
        self.compression = Setting(False)
        self.connect_timeout = Setting(0)  #: seconds; 0: the system's own patience
        self.connection_attempts = Setting(1)
        self.control_master: Setting[str] = Setting("no")
        self.control_path: Setting[str | None] = Setting(None)
        self.control_persist: Setting[int | None] = Setting(None)  #: seconds; 0: for ever; None: not at all
        self.enable_escape_commandline = Setting(False)
        self.enable_keysign = Setting(False)
        self.escape_char: Setting[int | None] = Setting(TILDE)
        self.exit_on_forward_failure = Setting(False)
        self.fingerprint_hash = Setting("sha256")
        self.fork_after_authentication = Setting(False)
        self.forward_agent: Setting[str | None] = Setting(
            None
        )  #: None: no; "yes": the agent that is used here; a socket
        self.forward_x11 = Setting(False)
        self.forward_x11_timeout = Setting(1200)
        self.forward_x11_trusted = Setting(False)
        self.gateway_ports = Setting(False)
        self.global_known_hosts: Setting[tuple[str, ...]] = Setting(
            ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
        )
        self.gssapi_authentication = Setting(False)
        self.gssapi_client_identity: Setting[str | None] = Setting(None)
        self.gssapi_delegate_credentials = Setting(False)
        self.gssapi_server_identity: Setting[str | None] = Setting(None)
        self.gssapi_trust_dns = Setting(False)
        self.hash_known_hosts = Setting(False)
        self.host_key_algorithms: Setting[str | None] = Setting(None)
        self.host_key_alias: Setting[str | None] = Setting(None)
        self.hostbased_algorithms: Setting[str | None] = Setting(None)
        self.hostbased_authentication = Setting(False)
        self.hostname: Setting[str | None] = Setting(None)
        self.identities_only = Setting(False)
        self.identity_agent: Setting[str] = Setting("SSH_AUTH_SOCK")
        self.ignore_unknown = Setting("")
        self.interactive_authentication = Setting(True)
        self.interactive_devices: Setting[str] = Setting("")
        self.ip_qos: Setting[tuple[int | None, int | None]] = Setting(
            (EXPEDITED, None)
        )  #: for sessions, for the rest
        self.key_exchanges: Setting[str | None] = Setting(None)
        self.known_hosts_command: Setting[str | None] = Setting(None)
        self.local_command: Setting[str | None] = Setting(None)
        self.log_level = Setting(3)
        self.macs: Setting[str | None] = Setting(None)
        self.no_host_authentication_for_localhost = Setting(False)
        self.obscure_keystroke_timing = Setting(20)  #: milliseconds between packets; 0: off
        self.password_authentication = Setting(True)
        self.password_prompts = Setting(3)
        self.permit_local_command = Setting(False)
        self.permit_remote_open: Setting[tuple[Endpoint, ...] | None] = Setting(None)  #: None: any
        self.port = Setting(22)
        self.preferred_authentications: Setting[tuple[str, ...] | None] = Setting(None)
        self.proxy_command: Setting[str | None] = Setting(None)
        self.proxy_jump: Setting[tuple[str, ...]] = Setting(())  #: hops in their order
        self.proxy_use_fdpass = Setting(False)
        self.public_key_authentication: Setting[PublicKeys] = Setting("yes")
        self.rekey_limit = Setting(RekeyLimit())
        self.remote_command: Setting[str | None] = Setting(None)
        self.request_tty: Setting[Terminal] = Setting("auto")
        self.required_rsa_size = Setting(2048)
        self.revoked_host_keys: Setting[str | None] = Setting(None)
        self.server_alive_count = Setting(3)
        self.server_alive_interval = Setting(0)
        self.session_type = Setting("default")
        self.set_env: Setting[tuple[str, ...]] = Setting(())
        self.stdin_null = Setting(False)
        self.stream_local_bind_mask = Setting(0o177)
        self.stream_local_bind_unlink = Setting(False)
        self.strict_host_key_checking: Setting[Checking] = Setting("ask")
        self.syslog_facility: Setting[str] = Setting("user")
        self.tag: Setting[str] = Setting("")
        self.tcp_keepalive = Setting(True)
        self.tunnel: Setting[str] = Setting("no")
        self.tunnel_device: Setting[tuple[int | None, int | None]] = Setting((None, None))  #: None: any
        self.update_host_keys: Setting[str | None] = Setting(
            None
        )  #: None: if the known-hosts files are the usual ones
        self.user: Setting[str | None] = Setting(None)
        self.user_key_algorithms: Setting[str | None] = Setting(None)
        self.user_known_hosts: Setting[tuple[str, ...]] = Setting(
            ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
        )
        self.verify_host_key_dns: Setting[str] = Setting("no")
        self.version_addendum: Setting[str | None] = Setting(None)
        self.visual_host_key = Setting(False)
        self.warn_weak_crypto = Setting(True)
        self.xauth_location: Setting[str] = Setting("/usr/bin/xauth")
        self.identity_files: list[Setting[str]] = []  #: as written; "none" alone: no keys at all
        self.certificate_files: list[Setting[str]] = []  #: as written
        self.forwards: list[Setting[Forward]] = []  #: in their order
        self.send_env: list[Setting[str]] = []  #: patterns of names
        self.notes: list[tuple[str, str]] = []  #: what was not obeyed: (ssh_config.NOTE or SAY, text)

    def obey(self, line: Line, active: bool) -> bool:
        """Take a line's value, unless one is there already; False for a keyword that has no attribute.

        The value of a line that is not `active` is only checked.
        """
        listed = LISTS.get(line.keyword)
        if listed is not None:
            listed.add(self, line, active)
            return True
        keyword = KEYWORDS.get(ALIASES.get(line.keyword, line.keyword))
        if keyword is None:
            return False
        value = keyword.read(line)
        name = keyword.attribute
        rival = RIVALS.get(name)
        if active and getattr(self, name).is_default and (rival is None or getattr(self, rival).is_default):
            setattr(self, name, Setting(value, line.place))
        return True

    def items(self) -> list[tuple[str, Any, Place]]:
        """Return (keyword, value, place) of everything, for people; lists have an entry for each element."""
        result = [(word, setting.value, setting.place) for word, setting in self._settings()]
        result += [("identityfile", setting.value, setting.place) for setting in self.identity_files]
        result += [("certificatefile", setting.value, setting.place) for setting in self.certificate_files]
        result += [("sendenv", setting.value, setting.place) for setting in self.send_env]
        result += [
            (f"{setting.value.kind}forward", str(setting.value), setting.place) for setting in self.forwards
        ]
        return result

    def _settings(self) -> list[tuple[str, Setting[Any]]]:
        return [(word, getattr(self, keyword.attribute)) for word, keyword in KEYWORDS.items()]


def command_line(keyword: str, rest: str) -> Line:
    """Return a line as if it stood in a file that comes first: how -p, -l and their like are obeyed."""
    return Line(keyword, rest, COMMAND_LINE)
