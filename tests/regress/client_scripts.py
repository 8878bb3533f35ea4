"""Which of OpenSSH's scripts are about its client, and so are run with ours in its place."""

from tests.regress.scripts import Script

_BOTH = ("real", "client")

COLUMNS = {
    "real": "OpenSSH's programs everywhere: the control",
    "client": "sshkit-client in ssh's place, OpenSSH's sshd",
}

SCRIPTS = tuple(
    Script(name, about, _BOTH)
    for name, about in {
        "connect": "the simplest connection",
        "proxy-connect": "ProxyCommand, with and without compression and privilege separation",
        "sshfp-connect": "SSHFP records of the host key",
        "connect-privsep": "connections to a server with a sandbox",
        "connect-uri": "ssh:// places",
        "proto-version": "identifications that are wrong",
        "proto-mismatch": "a server of protocol 1",
        "exit-status": "every status of a command",
        "exit-status-signal": "a command that a signal ends",
        "envpass": "SendEnv and SetEnv",
        "transfer": "data of every size, both ways",
        "banner": "banners of every size",
        "rekey": "new keys in a running connection, for every algorithm",
        "dhgex": "group exchange of every size",
        "stderr-data": "standard error, with and without a terminal",
        "stderr-after-eof": "standard error after standard output ended",
        "broken-pipe": "output that nobody reads",
        "try-ciphers": "each cipher with each MAC",
        "yes-head": "endless output that is cut",
        "login-timeout": "a login that takes too long does not stop others",
        "agent": "keys and certificates of an agent, and its forwarding",
        "agent-restrict": "keys that an agent uses for some hosts only",
        "agent-subprocess": "an agent of one command",
        "key-options": "options of authorized_keys as a client meets them",
        "reconfigure": "a server that reads its files again",
        "dynamic-forward": "SOCKS forwards, here and there",
        "forwarding": "forwards of every kind",
        "multiplex": "shared connections",
        "brokenkeys": "an authorized_keys with broken lines",
        "sshcfgparse": "files of configuration, as -G shows them",
        "cfgmatch": "Match blocks of the server, met by a client",
        "percent": "tokens in every keyword that has them",
        "localcommand": "LocalCommand",
        "forcecommand": "ForceCommand of the server",
        "portnum": "numbers that are ports, and those that are not",
        "keytype": "logins by every type of key",
        "kextype": "every key exchange",
        "cert-hostkey": "certificates of hosts",
        "cert-userkey": "certificates of users",
        "host-expand": "%h and its like in Hostname",
        "forward-control": "forwards that a server refuses",
        "integrity": "packets that were changed on their way",
        "multipubkey": "several keys in one login",
        "limit-keytype": "types of keys that a server takes",
        "hostkey-agent": "a host key in an agent",
        "hostkey-rotate": "UpdateHostKeys",
        "principals-command": "principals that a command names",
        "cert-file": "CertificateFile",
        "cfginclude": "Include",
        "allow-deny-users": "who may log in",
        "authinfo": "ExposeAuthInfo of the server",
        "knownhosts": "known_hosts of every kind",
        "knownhosts-command": "KnownHostsCommand",
        "hostbased": "hostbased logins",
        "channel-timeout": "ChannelTimeout of the server",
        "connection-timeout": "UnusedConnectionTimeout of the server",
        "match-subsystem": "subsystems in Match blocks",
        "addrmatch": "addresses in Match blocks",
        "penalty": "penalties of the server, met by a client",
        "penalty-expire": "penalties that pass",
    }.items()
)

#: Scripts that use a client and are not run: the reason.
NOT_RUN = {
    "agent-getpeereid": "is about ssh-agent, started as another user",
    "agent-pkcs11": "is about PKCS#11 libraries in ssh-agent, which needs softhsm",
    "agent-pkcs11-cert": "is about PKCS#11 libraries in ssh-agent, which needs softhsm",
    "agent-pkcs11-restrict": "is about PKCS#11 libraries in ssh-agent, which needs softhsm",
    "cipher-speed": "measures, and tests nothing",
    "conch-ciphers": "is about Conch's client",
    "dropbear-ciphers": "is about dropbear's client",
    "dropbear-kex": "is about dropbear's client",
    "putty-ciphers": "is about PuTTY's client",
    "putty-kex": "is about PuTTY's client",
    "putty-transfer": "is about PuTTY's client",
    "ssh2putty": "is about PuTTY's client",
}

_SHA1 = "one part logs in with RSA and SHA-1, which is not here (rule R16)"
_NOBODY = "one part takes a host's certificate that names no host, which is nobody's here (rule R7)"
_FLOOR = "two parts want new keys after 16 and after 1024 bytes: here they come after 16 KiB at the earliest"

#: What does not pass with ours and does with OpenSSH's, by release, script and column: the reason.
KNOWN: dict[tuple[str, str, str], str] = {
    ("9.2p1", "cert-userkey", "client"): _SHA1,
    ("10.0p1", "cert-userkey", "client"): _SHA1,
    ("9.2p1", "cert-hostkey", "client"): _NOBODY,
    ("10.0p1", "cert-hostkey", "client"): _NOBODY,
    ("10.0p1", "rekey", "client"): _FLOOR,
}
