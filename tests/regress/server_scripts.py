"""Which of OpenSSH's scripts involve a server, and so are run with ours in sshd's place."""

from tests.regress.scripts import Script

_BOTH = ("real", "server")

COLUMNS = {
    "real": "OpenSSH's programs everywhere: the control",
    "server": "sshkit-server in sshd's place, the rest OpenSSH's",
}

SCRIPTS = tuple(
    Script(name, about, _BOTH)
    for name, about in {
        "connect": "the simplest connection",
        "proxy-connect": "a server on standard input (-i), with and without compression",
        "connect-privsep": "connections with separated privileges and a sandbox",
        "connect-uri": "ssh:// places",
        "proto-version": "what a server says first",
        "proto-mismatch": "a client of protocol 1",
        "exit-status": "every status of a command",
        "exit-status-signal": "a command that a signal ends",
        "envpass": "AcceptEnv and SetEnv",
        "transfer": "data of every size, both ways",
        "banner": "banners of every size",
        "rekey": "new keys in a running connection, for every algorithm, by RekeyLimit of either side",
        "dhgex": "group exchange of every size",
        "stderr-data": "standard error, with and without a terminal",
        "stderr-after-eof": "standard error after standard output ended",
        "broken-pipe": "output that nobody reads",
        "try-ciphers": "each cipher with each MAC",
        "yes-head": "endless output that is cut",
        "login-timeout": "LoginGraceTime and MaxStartups: slow logins do not stop others",
        "agent": "logins by an agent's keys and certificates, and its forwarding",
        "agent-restrict": "session binding of agents, through forwarded ones too",
        "keyscan": "what ssh-keyscan sees",
        "key-options": "options of authorized_keys: command, environment, from, pty, expiry-time",
        "scp3": "copies between two hosts",
        "scp-uri": "scp:// places",
        "sftp-chroot": "internal-sftp below ChrootDirectory",
        "sftp-uri": "sftp:// places",
        "reconfigure": "SIGHUP",
        "dynamic-forward": "SOCKS forwards, here and there",
        "forwarding": "forwards of every kind",
        "multiplex": "many channels of one connection",
        "reexec": "a server whose program is replaced while it runs",
        "brokenkeys": "an authorized_keys with broken lines",
        "cfgparse": "-T, read again, says the same",
        "cfgmatch": "Match blocks",
        "cfgmatchlisten": "Match by local address and port",
        "percent": "tokens",
        "addrmatch": "addresses in Match blocks, as -T -C shows them",
        "localcommand": "LocalCommand",
        "forcecommand": "ForceCommand",
        "keytype": "logins by every type of key",
        "kextype": "every key exchange",
        "cert-hostkey": "certificates of hosts",
        "cert-userkey": "certificates of users",
        "host-expand": "%h in Hostname",
        "keys-command": "AuthorizedKeysCommand",
        "forward-control": "PermitOpen, PermitListen, AllowTcpForwarding and the options of keys",
        "integrity": "packets that were changed on their way",
        "multipubkey": "AuthenticationMethods with several keys",
        "limit-keytype": "PubkeyAcceptedAlgorithms",
        "hostkey-agent": "HostKeyAgent",
        "hostkey-rotate": "rotation of host keys (hostkeys-00)",
        "principals-command": "AuthorizedPrincipalsCommand",
        "cert-file": "CertificateFile",
        "servcfginclude": "Include",
        "allow-deny-users": "AllowUsers and DenyUsers",
        "authinfo": "ExposeAuthInfo",
        "knownhosts": "known_hosts of every kind",
        "knownhosts-command": "KnownHostsCommand",
        "hostbased": "hostbased logins",
        "channel-timeout": "ChannelTimeout",
        "connection-timeout": "UnusedConnectionTimeout",
        "match-subsystem": "subsystems in Match blocks",
        "penalty": "PerSourcePenalties",
        "penalty-expire": "penalties that pass",
    }.items()
)

_NO_SERVER = "starts no server"
_NO_SSHD = "starts sftp-server itself, without a server: see regress-sftp"
_PKCS11 = "is about PKCS#11 libraries in ssh-agent, which needs softhsm"

#: Scripts of OpenSSH's list that are not run: the reason.
NOT_RUN = {
    "agent-getpeereid": _NO_SERVER,
    "agent-pkcs11": _PKCS11,
    "agent-pkcs11-cert": _PKCS11,
    "agent-pkcs11-restrict": _PKCS11,
    "agent-ptrace": _NO_SERVER,
    "agent-subprocess": _NO_SERVER,
    "agent-timeout": _NO_SERVER,
    "cfginclude": "is about the client's file: ssh -G only",
    "cipher-speed": "measures, and tests nothing",
    "conch-ciphers": "is about Conch's client",
    "dropbear-ciphers": "is about dropbear's client",
    "dropbear-kex": "is about dropbear's client",
    "keygen-change": _NO_SERVER,
    "keygen-comment": _NO_SERVER,
    "keygen-convert": _NO_SERVER,
    "keygen-knownhosts": _NO_SERVER,
    "keygen-moduli": _NO_SERVER,
    "keygen-sshfp": _NO_SERVER,
    "krl": _NO_SERVER,
    "portnum": "connects nowhere: numbers that the client refuses",
    "putty-ciphers": "is about PuTTY's client",
    "putty-kex": "is about PuTTY's client",
    "putty-transfer": "is about PuTTY's client",
    "scp": "calls scp at both ends itself, without a server: see regress-sftp",
    "sftp": _NO_SSHD,
    "sftp-badcmds": _NO_SSHD,
    "sftp-batch": _NO_SSHD,
    "sftp-cmds": _NO_SSHD,
    "sftp-glob": _NO_SSHD,
    "sftp-perm": _NO_SSHD,
    "sftp-resume": _NO_SSHD,
    "sshcfgparse": "is about the client's file: ssh -G only",
    "sshfp-connect": "needs a domain of its own with SSHFP records",
    "sshsig": _NO_SERVER,
}

#: What a script's sshd_config says besides, so that it meets what it is about: the lines.
OPTIONS = {
    # The MAC's key counts for the size of the group that the client asks for; the script expects OpenSSH's.
    "dhgex": "MACs +umac-64-etm@openssh.com",
}

_SHA1 = "one part asks for RSA with SHA-1, which is not here (rule R16)"
_NOBODY = "and one lets in by a certificate that names nobody, which is nobody's here (rule R7)"
_FLOOR = "two parts want new keys after 16 and after 1024 bytes: here they come after 16 KiB at the earliest"

#: What does not pass with ours and does with OpenSSH's, by release, script and column: the reason.
KNOWN: dict[tuple[str, str, str], str] = {
    ("9.2p1", "cert-userkey", "server"): f"{_SHA1}, {_NOBODY}",
    ("10.0p1", "cert-userkey", "server"): f"{_SHA1}, {_NOBODY}",
    ("9.2p1", "hostkey-agent", "server"): _SHA1,
    ("10.0p1", "hostkey-agent", "server"): _SHA1,
    ("9.2p1", "keyscan", "server"): _SHA1,
    ("10.0p1", "keyscan", "server"): _SHA1,
    ("10.0p1", "rekey", "server"): _FLOOR,
}
