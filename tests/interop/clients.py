"""Real clients, met by our server: each runs one command under one choice of algorithms."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop.peers import (
    AEAD,
    BACKPORTS,
    CBC,
    CTR,
    DROPBEAR,
    KEX,
    OLD,
    PATH,
    SHA2,
    SIGNATURES,
    Keys,
    Offer,
    dropbear_key,
    key_name,
)

TIMEOUT = 30


@dataclass(frozen=True)
class Choice:
    """One algorithm of each category; None leaves the category to the peer."""

    kex: str | None = None
    cipher: str | None = None
    mac: str | None = None
    host_key: str | None = None
    user_key: str = "ssh-ed25519"
    compression: str | None = None

    def __str__(self) -> str:
        parts = [self.kex, self.cipher, self.mac, self.host_key and f"host {self.host_key}", self.compression]
        if self.user_key != "ssh-ed25519":
            parts.append(f"user {self.user_key}")
        return " ".join(part for part in parts if part) or "defaults"


def choices(offer: Offer) -> list[Choice]:
    """Return every algorithm of `offer` once: each key exchange, each cipher and each MAC, each key type."""
    found = [Choice()]
    found += [Choice(kex=name) for name in offer.kex]
    found += [Choice(cipher=name) for name in offer.ciphers if name in AEAD]
    found += [
        Choice(cipher=name, mac=mac)
        for name in offer.ciphers
        if name not in AEAD
        for mac in offer.macs
        # Every MAC with one cipher of each mode, every cipher with one MAC of each kind.
        if name in ("aes128-ctr", "aes128-cbc") or mac in SHA2[:2]
    ]
    found += [Choice(host_key=name) for name in offer.signatures]
    found += [Choice(user_key=name) for name in offer.signatures[1:]]
    found += [Choice(compression=name) for name in offer.compressions]
    return found


#: (keys, port, choice, command) -> (exit status, standard output)
Run = Callable[[Keys, int, Choice, str], tuple[int, bytes]]


@dataclass(frozen=True)
class ClientPeer:
    """A real client."""

    name: str
    run: Run
    offer: Offer = field(default_factory=Offer)
    program: str | None = None  #: None: a Python library
    folder: Path | None = None

    @property
    def is_present(self) -> bool:
        """The program or library is installed."""
        if self.program is None:
            from importlib.util import find_spec

            return find_spec(self.name) is not None
        if self.folder is not None:
            return (self.folder / "usr" / "bin" / self.program).is_file()
        return shutil.which(self.program, path=PATH) is not None


def _openssh(executable: str) -> Run:
    def run(keys: Keys, port: int, choice: Choice, command: str) -> tuple[int, bytes]:
        argv = [executable, "-F", "none", "-p", str(port), "-i", keys.path("user", choice.user_key)]
        options = {
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "KexAlgorithms": choice.kex,
            "Ciphers": choice.cipher,
            "MACs": choice.mac,
            "HostKeyAlgorithms": choice.host_key,
            "PubkeyAcceptedAlgorithms": choice.user_key,
            "Compression": "yes" if choice.compression else "no",
            "LogLevel": "ERROR",
        }
        for name, value in options.items():
            if value is not None:
                argv += ["-o", f"{name}={value}"]
        return _spawn([*argv, "joe@127.0.0.1", command])

    return run


def _spawn(argv: list[str], environment: dict[str, str] | None = None) -> tuple[int, bytes]:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode not in (0, 3):
        return done.returncode, done.stdout + done.stderr
    return done.returncode, done.stdout


def _dbclient(keys: Keys, port: int, choice: Choice, command: str) -> tuple[int, bytes]:
    argv = ["dbclient", "-y", "-y", "-p", str(port), "-i", dropbear_key(keys, "user", choice.user_key)]
    if choice.cipher:
        argv += ["-c", choice.cipher]
    if choice.mac:
        argv += ["-m", choice.mac]
    return _spawn([*argv, "joe@127.0.0.1", command], {"HOME": str(keys.folder)})


def _plink(keys: Keys, port: int, choice: Choice, command: str) -> tuple[int, bytes]:
    path = keys.path("user", choice.user_key)
    converted = f"{path}.ppk"
    if not os.path.exists(converted):
        subprocess.run(["puttygen", path, "-O", "private", "-o", converted], check=True, capture_output=True)
    argv = ["plink", "-ssh", "-batch", "-P", str(port), "-i", converted]
    for key in keys.host.values():
        argv += ["-hostkey", key.public.fingerprint()]
    if choice.compression:
        argv.append("-C")
    return _spawn([*argv, "joe@127.0.0.1", command], {"HOME": str(keys.folder), "PUTTYDIR": str(keys.folder)})


def _asyncssh(keys: Keys, port: int, choice: Choice, command: str) -> tuple[int, bytes]:
    import asyncssh

    options: dict[str, object] = {
        "kex_algs": [choice.kex] if choice.kex else (),
        "encryption_algs": [choice.cipher] if choice.cipher else (),
        "mac_algs": [choice.mac] if choice.mac else (),
        "server_host_key_algs": [choice.host_key] if choice.host_key else (),
        "signature_algs": [choice.user_key],
        "compression_algs": [choice.compression] if choice.compression else (),
    }

    async def run() -> tuple[int, bytes]:
        async with asyncssh.connect(
            "127.0.0.1",
            port,
            username="joe",
            known_hosts=None,
            config=None,
            client_keys=[keys.path("user", choice.user_key)],
            **{name: value for name, value in options.items() if value},
        ) as connection:
            result = await connection.run(command, encoding=None)
            return result.exit_status, result.stdout

    return asyncio.run(asyncio.wait_for(run(), TIMEOUT))


def _paramiko(keys: Keys, port: int, choice: Choice, command: str) -> tuple[int, bytes]:
    import paramiko

    transport = paramiko.Transport(("127.0.0.1", port))
    try:
        security = transport.get_security_options()
        if choice.kex:
            security.kex = (choice.kex,)
        if choice.cipher:
            security.ciphers = (choice.cipher,)
        if choice.mac:
            security.digests = (choice.mac,)
        if choice.host_key:
            security.key_types = (choice.host_key,)
        if choice.compression:
            transport.use_compression()
        transport.start_client(timeout=TIMEOUT)
        loader = {
            "ed25519": paramiko.Ed25519Key,
            "rsa2048": paramiko.RSAKey,
        }.get(key_name(choice.user_key), paramiko.ECDSAKey)
        transport.auth_publickey("joe", loader.from_private_key_file(keys.path("user", choice.user_key)))
        channel = transport.open_session(timeout=TIMEOUT)
        channel.exec_command(command)
        output = b""
        while data := channel.recv(65536):
            output += data
        return channel.recv_exit_status(), output
    finally:
        transport.close()


PARAMIKO = Offer(
    kex=(
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group-exchange-sha256",
    ),
    ciphers=("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", *CTR, *CBC),
    macs=(*SHA2, "hmac-sha1"),
    signatures=SIGNATURES,
)
ASYNCSSH = Offer(
    kex=(
        *(name for name in KEX if not name.startswith("sntrup")),
        "mlkem768nistp256-sha256",
        "mlkem1024nistp384-sha384",
        "curve448-sha512",
        "diffie-hellman-group15-sha512",
        "diffie-hellman-group17-sha512",
    ),
    compressions=("zlib@openssh.com", "zlib"),
)
CLIENTS = (
    ClientPeer("OpenSSH 9.2", _openssh("ssh"), Offer(kex=OLD), "ssh"),
    ClientPeer("OpenSSH 10.0", _openssh(str(BACKPORTS / "usr/bin/ssh")), Offer(), "ssh", BACKPORTS),
    ClientPeer("dropbear", _dbclient, Offer((), DROPBEAR.ciphers, DROPBEAR.macs, (), ()), "dbclient"),
    ClientPeer("PuTTY", _plink, Offer((), (), (), SIGNATURES[:1]), "plink"),
    ClientPeer("asyncssh", _asyncssh, ASYNCSSH),
    ClientPeer("paramiko", _paramiko, PARAMIKO),
)
