"""Modules that a listening server loads before it listens, instead of on first use.

Called by `daemon`.  A server that has run out of descriptors cannot load a module any more, and must go on
without faults just then (R41); besides, the first client should wait no longer than the others.
"""

MODULES = (
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.mlkem",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.asymmetric.x25519",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.ciphers.algorithms",
    "cryptography.hazmat.primitives.ciphers.modes",
    "cryptography.hazmat.primitives.hmac",
    "cryptography.hazmat.primitives.poly1305",
    "cryptography.hazmat.primitives.serialization",
    "calendar",
    "fcntl",
    "grp",
    "hashlib",
    "ipaddress",
    "linecache",
    "logging",
    "signal",
    "sshkit.reactor.connector",
    "sshkit.deferred.timeouts",
    "sshkit.reactor.processes",
    "sshkit.reactor.threads",
    "sshkit.server.agent_forwarding",
    "sshkit.server.forwards",
    "sshkit.server.x11",
    "sshkit.ssh.authentication.methods",
    "sshkit.ssh.key_exchange.sntrup761",
    "sshkit.terminal.modes",
    "sshkit_keys.authorized_keys",
    "sshkit_keys.ecdsa",
    "sshkit_keys.ed25519",
    "sshkit_keys.rsa",
    "tempfile",
    "termios",
    "threading",
    "time",
    "traceback",
)


def preload() -> None:
    """Load them."""
    from importlib import import_module

    for name in MODULES:
        import_module(name)
