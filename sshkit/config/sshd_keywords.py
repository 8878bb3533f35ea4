"""What each keyword of sshd_config(5) is: the attribute it sets, what reads it, its default, its place.

Called by `sshd_options`, `sshd_config` and, for the table of keywords, by the documentation.  Every keyword
of OpenSSH 9.2 to 10.x is here or in GONE, or opens a block (Match, Include): those belong to `sshd_config`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from . import sshd_values as read
from .client_values import channel_timeouts, ip_qos
from .parser import Line
from .values import RekeyLimit, choice, flag, number, rekey_limit, time

BLOCK: Final = 1  #: may stand in a Match block
LIST: Final = 2  #: each further line adds; of all others the first counts
EXPEDITED: Final = 0xB8  #: the class of service for what somebody waits for (RFC 3246)


class Keyword(NamedTuple):
    """A keyword with a value."""

    spelled: str
    attribute: str
    read: Callable[[Line], Any]
    default: Any  #: sshd's own, but for what `sshd_meanings.DEVIATIONS` names
    flags: int = 0


def choose(choices: Mapping[str, Any]) -> Callable[[Line], Any]:
    """Return what reads one of `choices`."""
    return lambda line: choice(line, choices)


#: Keyword in lower case -> what it is.
KEYWORDS: dict[str, Keyword] = {
    keyword.spelled.lower(): keyword
    for keyword in (
        Keyword("AcceptEnv", "accept_env", read.environment_names, (), BLOCK | LIST),
        Keyword("AddressFamily", "address_family", choose(read.FAMILIES), "any"),
        Keyword("AllowAgentForwarding", "allow_agent_forwarding", flag, True, BLOCK),
        Keyword("AllowGroups", "allow_groups", read.words, (), BLOCK | LIST),
        Keyword(
            "AllowStreamLocalForwarding",
            "allow_stream_local_forwarding",
            choose(read.FORWARDING),
            "yes",
            BLOCK,
        ),
        Keyword("AllowTcpForwarding", "allow_tcp_forwarding", choose(read.FORWARDING), "yes", BLOCK),
        Keyword("AllowUsers", "allow_users", read.user_patterns, (), BLOCK | LIST),
        Keyword("AuthenticationMethods", "authentication_chains", read.authentication_methods, (), BLOCK),
        Keyword("AuthorizedKeysCommand", "authorized_keys_command", read.command, None, BLOCK),
        Keyword("AuthorizedKeysCommandUser", "authorized_keys_command_user", read.name, None, BLOCK),
        Keyword(
            "AuthorizedKeysFile",
            "authorized_keys_files",
            read.paths,
            (".ssh/authorized_keys", ".ssh/authorized_keys2"),
            BLOCK,
        ),
        Keyword("AuthorizedPrincipalsCommand", "authorized_principals_command", read.command, None, BLOCK),
        Keyword(
            "AuthorizedPrincipalsCommandUser", "authorized_principals_command_user", read.name, None, BLOCK
        ),
        Keyword("AuthorizedPrincipalsFile", "authorized_principals_file", read.path, None, BLOCK),
        Keyword("Banner", "banner", read.file, None, BLOCK),
        Keyword("CASignatureAlgorithms", "ca_algorithms", Line.one, None, BLOCK),
        Keyword("ChannelTimeout", "channel_timeouts", channel_timeouts, (), BLOCK),
        Keyword("ChrootDirectory", "chroot_directory", read.name, None, BLOCK),
        Keyword("Ciphers", "ciphers", Line.one, None),
        Keyword("ClientAliveCountMax", "client_alive_count_max", number, 3, BLOCK),
        Keyword("ClientAliveInterval", "client_alive_interval", time, 0, BLOCK),
        Keyword("Compression", "compression", choose(read.COMPRESSION), True),
        Keyword("DenyGroups", "deny_groups", read.words, (), BLOCK | LIST),
        Keyword("DenyUsers", "deny_users", read.user_patterns, (), BLOCK | LIST),
        Keyword("DisableForwarding", "disable_forwarding", flag, False, BLOCK),
        Keyword("ExposeAuthInfo", "expose_auth_info", flag, False, BLOCK),
        Keyword("FingerprintHash", "fingerprint_hash", choose(read.HASHES), "sha256"),
        Keyword("ForceCommand", "force_command", read.text, None, BLOCK),
        Keyword("GatewayPorts", "gateway_ports", choose(read.GATEWAY_PORTS), "no", BLOCK),
        Keyword("GSSAPIAuthentication", "gssapi_authentication", flag, False, BLOCK),
        Keyword("GSSAPICleanupCredentials", "gssapi_cleanup_credentials", flag, True),
        Keyword("GSSAPIDelegateCredentials", "gssapi_delegate_credentials", flag, True, BLOCK),
        Keyword("GSSAPIEnablek5users", "gssapi_enable_k5users", flag, False, BLOCK),
        Keyword("GSSAPIKexAlgorithms", "gssapi_kex_algorithms", Line.one, None),
        Keyword("GSSAPIKeyExchange", "gssapi_key_exchange", flag, False),
        Keyword("GSSAPIStoreCredentialsOnRekey", "gssapi_store_credentials_on_rekey", flag, False),
        Keyword("GSSAPIStrictAcceptorCheck", "gssapi_strict_acceptor_check", flag, True),
        Keyword("HostbasedAcceptedAlgorithms", "hostbased_algorithms", Line.one, None, BLOCK),
        Keyword("HostbasedAuthentication", "hostbased_authentication", flag, False, BLOCK),
        Keyword(
            "HostbasedUsesNameFromPacketOnly", "hostbased_uses_name_from_packet_only", flag, False, BLOCK
        ),
        Keyword("HostCertificate", "host_certificates", read.one_file, (), LIST),
        Keyword(
            "HostKey",
            "host_keys",
            read.one_file,
            ("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key"),
            LIST,
        ),
        Keyword("HostKeyAgent", "host_key_agent", read.agent, None),
        Keyword("HostKeyAlgorithms", "host_key_algorithms", Line.one, None),
        Keyword("IgnoreRhosts", "ignore_rhosts", choose(read.RHOSTS), "yes", BLOCK),
        Keyword("IgnoreUserKnownHosts", "ignore_user_known_hosts", flag, False),
        Keyword("IPQoS", "ip_qos", ip_qos, (EXPEDITED, None), BLOCK),
        Keyword("KbdInteractiveAuthentication", "interactive_authentication", flag, True, BLOCK),
        Keyword("KerberosAuthentication", "kerberos_authentication", flag, False, BLOCK),
        Keyword("KerberosGetAFSToken", "kerberos_get_afs_token", flag, False),
        Keyword("KerberosOrLocalPasswd", "kerberos_or_local_password", flag, True),
        Keyword("KerberosTicketCleanup", "kerberos_ticket_cleanup", flag, True),
        Keyword("KexAlgorithms", "kex_algorithms", Line.one, None),
        Keyword("ListenAddress", "listen_addresses", read.listen_address, (), LIST),
        Keyword("LogFormat", "log_format", choose(read.LOG_FORMATS), "text"),
        Keyword("LoginGraceTime", "login_grace_time", time, 120),
        Keyword("LogLevel", "log_level", choose(read.LEVELS), read.LEVELS["info"], BLOCK),
        Keyword("LogVerbose", "log_verbose", read.names_of_files, (), BLOCK),
        Keyword("MACs", "macs", Line.one, None),
        Keyword("MaxAuthTries", "max_auth_tries", read.auth_tries, 6, BLOCK),
        Keyword("MaxSessions", "max_sessions", number, 10, BLOCK),
        Keyword("MaxStartups", "max_startups", read.max_startups, (10, 30, 100)),
        Keyword("MetricsAddress", "metrics_address", read.metrics_address, None),
        Keyword("ModuliFile", "moduli_file", read.file, "/etc/ssh/moduli"),
        Keyword("PAMServiceName", "pam_service_name", Line.one, "sshd", BLOCK),
        Keyword("PasswordAuthentication", "password_authentication", flag, True, BLOCK),
        Keyword("PermitEmptyPasswords", "permit_empty_passwords", flag, False, BLOCK),
        Keyword("PermitListen", "permit_listen", read.permit_listen, None, BLOCK),
        Keyword("PermitOpen", "permit_open", read.permit_open, None, BLOCK),
        Keyword("PermitRootLogin", "permit_root_login", choose(read.ROOT_LOGINS), "prohibit-password", BLOCK),
        Keyword("PermitTTY", "permit_tty", flag, True, BLOCK),
        Keyword("PermitTunnel", "permit_tunnel", choose(read.TUNNELS), "no", BLOCK),
        Keyword("PermitUserEnvironment", "permit_user_environment", read.user_environment, None),
        Keyword("PermitUserRC", "permit_user_rc", flag, True, BLOCK),
        Keyword("PerSourceMaxStartups", "per_source_max_startups", read.per_source, None),
        Keyword("PerSourceNetBlockSize", "per_source_net_block_size", read.net_blocks, (32, 128)),
        Keyword("PerSourcePenalties", "penalty_parts", read.penalties, (), LIST),
        Keyword("PerSourcePenaltyExemptList", "penalty_exempt", read.addresses, None),
        Keyword("PidFile", "pid_file", read.file, "/run/sshd.pid"),
        Keyword("Port", "ports", read.port, (22,), LIST),
        Keyword("PrintLastLog", "print_last_log", flag, True),
        Keyword("PrintMotd", "print_motd", flag, True),
        Keyword("ProxyProtocol", "proxy_protocol", choose(read.PROXY), "no"),
        Keyword("ProxyProtocolFrom", "proxy_protocol_from", read.addresses, None),
        Keyword("PubkeyAcceptedAlgorithms", "pubkey_accepted_algorithms", Line.one, None, BLOCK),
        Keyword("PubkeyAuthentication", "pubkey_authentication", flag, True, BLOCK),
        Keyword("PubkeyAuthOptions", "pubkey_auth_options", read.key_options, frozenset(), BLOCK),
        Keyword("RDomain", "rdomain", read.name, None, BLOCK),
        Keyword("RefuseConnection", "refuse_connection", flag, False, BLOCK),
        Keyword("RekeyLimit", "rekey_limit", rekey_limit, RekeyLimit(), BLOCK),
        Keyword("RequiredRSASize", "required_rsa_size", read.rsa_size, 2048, BLOCK),
        Keyword("RevokedKeys", "revoked_keys", read.file, None, BLOCK),
        Keyword("SecurityKeyProvider", "security_key_provider", Line.one, "internal"),
        Keyword("SetEnv", "set_env", read.variables, (), BLOCK),
        Keyword("SshdAuthPath", "sshd_auth_path", read.file, None),
        Keyword("SshdSessionPath", "sshd_session_path", read.file, None),
        Keyword("StreamLocalBindMask", "stream_local_bind_mask", read.octal, 0o177, BLOCK),
        Keyword("StreamLocalBindUnlink", "stream_local_bind_unlink", flag, False, BLOCK),
        Keyword("StrictModes", "strict_modes", flag, True),
        Keyword("Subsystem", "subsystems", read.subsystem, (), BLOCK | LIST),
        Keyword("SyslogFacility", "syslog_facility", choose(read.FACILITIES), "auth"),
        Keyword("TCPKeepAlive", "tcp_keep_alive", flag, True),
        Keyword("TrustedUserCAKeys", "trusted_user_ca_keys", read.file, None, BLOCK),
        Keyword("UnusedConnectionTimeout", "unused_connection_timeout", time, 0, BLOCK),
        Keyword("UseDNS", "use_dns", flag, False),
        Keyword("UsePAM", "use_pam", flag, False),
        Keyword("VersionAddendum", "version_addendum", read.version_addendum, ""),
        Keyword("Workers", "workers", read.workers, 1),
        Keyword("X11DisplayOffset", "x11_display_offset", read.display_offset, 10, BLOCK),
        Keyword("X11Forwarding", "x11_forwarding", flag, False, BLOCK),
        Keyword("X11UseLocalhost", "x11_use_localhost", flag, True, BLOCK),
        Keyword("XAuthLocation", "xauth_location", Line.one, "/usr/bin/xauth"),
        Keyword("DebianBanner", "debian_banner", flag, True),
    )
}

#: Old names.
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "hostdsakey": "hostkey",
    "keepalive": "tcpkeepalive",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "skeyauthentication": "kbdinteractiveauthentication",
}

#: Keywords that sshd does not know.
OURS = frozenset(("logformat", "metricsaddress", "proxyprotocol", "proxyprotocolfrom", "workers"))

#: Keywords that OpenSSH itself ignores by now.
GONE = frozenset(
    (
        "afstokenpassing",
        "authorizedkeysfile2",
        "checkmail",
        "kerberostgtpassing",
        "keyregenerationinterval",
        "pamauthenticationviakbdint",
        "protocol",
        "reversemappingcheck",
        "rhostsauthentication",
        "rhostsrsaauthentication",
        "rsaauthentication",
        "serverkeybits",
        "uselogin",
        "useprivilegeseparation",
        "verifyreversemapping",
    )
)

#: Attribute -> its default for a server that an ordinary user starts without a word of configuration.
OWN_DEFAULTS: dict[str, Any] = {
    "accept_env": ("LANG", "LC_*"),
    "host_keys": (),
    "interactive_authentication": False,
    "password_authentication": False,
    "pid_file": None,
}
