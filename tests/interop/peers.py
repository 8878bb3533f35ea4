"""Real peers, started on free loopback ports from a folder of their own, never as system services.

`SERVERS` and `CLIENTS` are the two tables that the interop tests and `make interop` walk.
"""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.key_files import write_private_key, write_public_key

ROOT = Path(__file__).resolve().parents[2]
BACKPORTS = ROOT / ".peers" / "openssh-backports"
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
START_TIMEOUT = 10.0

#: What OpenSSH 10.0 takes part in of what we have.
KEX = (
    "mlkem768x25519-sha256",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group14-sha1",
)
AEAD = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com")
CTR = ("aes128-ctr", "aes192-ctr", "aes256-ctr")
CBC = ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc")
SHA2 = (
    "hmac-sha2-256",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512",
    "hmac-sha2-512-etm@openssh.com",
)
SHA1 = ("hmac-sha1", "hmac-sha1-etm@openssh.com")
UMACS = (
    "umac-64@openssh.com",
    "umac-64-etm@openssh.com",
    "umac-128@openssh.com",
    "umac-128-etm@openssh.com",
)
MACS = SHA2 + SHA1 + UMACS
ZLIB = ("zlib@openssh.com",)
SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
#: (kind, bits) of the key behind each signature algorithm.
KEY_OF = {
    "ssh-ed25519": ("ed25519", None),
    "ecdsa-sha2-nistp256": ("ecdsa", 256),
    "ecdsa-sha2-nistp384": ("ecdsa", 384),
    "ecdsa-sha2-nistp521": ("ecdsa", 521),
    "rsa-sha2-512": ("rsa", 2048),
    "rsa-sha2-256": ("rsa", 2048),
}


def key_name(signature: str) -> str:
    """Return the name of the key file for a signature algorithm."""
    kind, bits = KEY_OF[signature]
    return f"{kind}{bits or ''}"


class Keys:
    """Host and user keys of every type, made once, in OpenSSH's format."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host: dict[str, PrivateKey] = {}
        self.user: dict[str, PrivateKey] = {}
        for role, keys in (("host", self.host), ("user", self.user)):
            for signature in SIGNATURES:
                name = key_name(signature)
                if name in keys:
                    continue
                kind, bits = KEY_OF[signature]
                key = generate_private_key(kind, bits, f"{role} {name}")  # type: ignore[arg-type]
                keys[name] = key
                path = folder / f"{role}_{name}"
                write_private_key(path, key.to_openssh(random_bytes=os.urandom))
                write_public_key(f"{path}.pub", key.public)
        self.authorized = folder / "authorized_keys"
        self.authorized.write_text("".join(key.public.to_line() + "\n" for key in self.user.values()))
        self.authorized.chmod(0o600)

    def path(self, role: str, signature: str) -> str:
        """Return the path of the private key for a signature algorithm."""
        return str(self.folder / f"{role}_{key_name(signature)}")


@dataclass(frozen=True)
class Offer:
    """What a peer takes part in."""

    kex: tuple[str, ...] = KEX
    ciphers: tuple[str, ...] = AEAD + CTR + CBC
    macs: tuple[str, ...] = MACS
    signatures: tuple[str, ...] = SIGNATURES
    compressions: tuple[str, ...] = ZLIB


OLD = tuple(name for name in KEX if not name.startswith("mlkem") and name != "sntrup761x25519-sha512")
DROPBEAR = Offer(
    kex=tuple(name for name in OLD if name.startswith(("ecdh", "curve")) or "group14" in name),
    ciphers=("chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"),
    macs=("hmac-sha2-256", "hmac-sha1"),
    signatures=("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"),
)


@dataclass(frozen=True)
class ServerPeer:
    """A real server, met by our client."""

    name: str
    program: str
    offer: Offer
    folder: Path | None = None  #: where it was unpacked, if it is not the system's

    @property
    def executable(self) -> str | None:
        """Where the program is, or None."""
        if self.folder is not None:
            found = self.folder / "usr" / "sbin" / self.program
            return str(found) if found.is_file() else None
        return shutil.which(self.program, path=PATH)

    @contextlib.contextmanager
    def running(self, keys: Keys) -> Iterator[int]:
        """Run the server; gives its port."""
        port = free_port()
        argv = self._dropbear(keys, port) if self.program == "dropbear" else self._sshd(keys, port)
        log = keys.folder / f"{self.name.replace(' ', '-')}-{port}.log"
        authorized = authorized_at_home(keys) if self.program == "dropbear" else contextlib.nullcontext()
        with authorized, log.open("wb") as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            try:
                wait_for_port(port, process, log)
                yield port
            finally:
                process.terminate()
                process.wait(START_TIMEOUT)

    def _sshd(self, keys: Keys, port: int) -> list[str]:
        Path("/run/sshd").mkdir(exist_ok=True)
        config = keys.folder / f"sshd-{port}.conf"
        lines = [
            f"Port {port}",
            "ListenAddress 127.0.0.1",
            *(f"HostKey {keys.path('host', signature)}" for signature in SIGNATURES[:5]),
            f"AuthorizedKeysFile {keys.authorized}",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "MaxStartups 100",
            f"KexAlgorithms {','.join(self.offer.kex)}",
            f"Ciphers {','.join(self.offer.ciphers)}",
            f"MACs {','.join(self.offer.macs)}",
            "LogLevel DEBUG1",
        ]
        if self.folder is not None:
            helpers = self.folder / "usr" / "lib" / "openssh"
            lines += [f"SshdSessionPath {helpers}/sshd-session", f"SshdAuthPath {helpers}/sshd-auth"]
            lines.append("PerSourcePenalties no")
        config.write_text("\n".join(lines) + "\n")
        return [str(self.executable), "-D", "-e", "-f", str(config)]

    def _dropbear(self, keys: Keys, port: int) -> list[str]:
        argv = [str(self.executable), "-F", "-E", "-s", "-p", f"127.0.0.1:{port}"]
        for signature in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-256"):
            argv += ["-r", dropbear_key(keys, "host", signature)]
        return argv


def dropbear_key(keys: Keys, role: str, signature: str) -> str:
    """Return the path of a key in dropbear's own format."""
    path = keys.path(role, signature)
    converted = f"{path}.dropbear"
    if not os.path.exists(converted):
        subprocess.run(
            ["dropbearconvert", "openssh", "dropbear", path, converted], check=True, capture_output=True
        )
    return converted


@contextlib.contextmanager
def authorized_at_home(keys: Keys) -> Iterator[None]:
    """Let our user keys in for as long as dropbear runs, which reads ~/.ssh/authorized_keys and no other."""
    folder = Path.home() / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / "authorized_keys"
    existed = target.exists()
    ours = keys.authorized.read_text().splitlines(keepends=True)
    before = target.read_text() if existed else ""
    with target.open("a") as file:
        file.writelines(["\n"] * (before != "" and not before.endswith("\n")) + ours)
    target.chmod(0o600)
    try:
        yield
    finally:
        # Only our lines go: another run of the tests may have put its own there meanwhile.
        left = [line for line in target.read_text().splitlines(keepends=True) if line not in ours]
        if left or existed:
            target.write_text("".join(left))
        else:
            target.unlink()


def free_port() -> int:
    """Return a loopback port that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until something listens at `port`."""
    import time

    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise AssertionError(f"the peer did not start: {log.read_text()[-2000:]}")


SERVERS = (
    ServerPeer("OpenSSH 9.2", "sshd", Offer(kex=OLD)),
    ServerPeer("OpenSSH 10.0", "sshd", Offer(), BACKPORTS),
    ServerPeer("dropbear", "dropbear", DROPBEAR),
)
