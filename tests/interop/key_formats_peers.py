"""Programs and libraries that make and read key files, each with what it can and what it cannot.

Used by `key_formats`.  A peer makes one key a type and writes it in each format; it reads a file and answers
with the blob of the public key.
"""

import os
import shutil
import subprocess
import warnings
from abc import ABC, abstractmethod
from binascii import a2b_base64
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from sshkit_keys import (
    PrivateKey,
    generate_private_key,
    load_private_key,
    load_public_key,
    parse_private_key,
    parse_public_file,
)
from sshkit_keys.formats import FORMATS

from tests.interop.peers import BACKPORTS

SECRET = "secret"
PRIVATE = ("OpenSSH", "PEM", "PKCS8", "DER", "PUTTY", "PUTTY2")
PUBLIC = ("line", "RFC4716", "SPKI", "PKCS1")
#: Type: arguments of our own generate_private_key.
TYPES: dict[str, tuple[Any, int | None]] = {
    "ed25519": ("ed25519", None),
    "ecdsa256": ("ecdsa", 256),
    "ecdsa384": ("ecdsa", 384),
    "ecdsa521": ("ecdsa", 521),
    "rsa": ("rsa", 2048),
    "ed448": ("ed448", None),
    "dsa": ("dsa", 1024),
}


class Unable(Exception):
    """The peer does not do this; the text says why."""


def run(folder: Path, *command: str) -> bytes:
    """Run a program; its complaint becomes the error."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        raise AssertionError(
            done.stderr.decode(errors="replace").strip()[-200:] or f"status {done.returncode}"
        )
    return done.stdout


class KeyPeer(ABC):
    """One maker and reader, which works in a folder of its own."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder / self.name.replace(" ", "-")
        self.folder.mkdir()
        (self.folder / "secret").write_text(SECRET)
        (self.folder / "empty").write_text("")

    @property
    def is_present(self) -> bool:
        """Whether it is installed."""
        return True

    @abstractmethod
    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        """Return why the peer does not read or write this, or "" if it does."""

    @abstractmethod
    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        """Return a private key file, or of a public format the public one of the same key."""

    @abstractmethod
    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        """Return the blob of the public key."""


class SSHKeygen(KeyPeer):
    """OpenSSH's, of the system or unpacked."""

    name = "ssh-keygen 9.2"
    program = shutil.which("ssh-keygen") or ""
    reads_pkcs8_ed25519 = False

    @property
    def is_present(self) -> bool:
        return bool(self.program)

    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        if form in ("PUTTY", "PUTTY2", "DER"):
            return f"ssh-keygen knows no {'PPK' if form != 'DER' else 'DER'}"
        if kind == "ed448":
            return "OpenSSH has no ed448"
        if kind == "dsa":
            return "OpenSSH 10 has no DSA; 9.2 would, but nobody makes such keys any more"
        if kind == "ed25519":
            if form == "PKCS8" and reading:
                return "" if self.reads_pkcs8_ed25519 else "ssh-keygen reads ed25519 in PKCS#8 since 9.6"
            if form in ("PEM", "PKCS8"):
                return "ssh-keygen writes ed25519 in its own format, whatever -m says"
            if form == "SPKI":
                return "ssh-keygen has no SPKI of ed25519"
        return ""

    def _key(self, kind: str) -> Path:
        path = self.folder / kind
        if not path.exists():
            name, bits = TYPES[kind]
            size = ("-b", str(bits)) if bits else ()
            run(self.folder, self.program, "-q", "-t", name, *size, "-N", "", "-f", kind, "-C", "me")
        return path

    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        key = self._key(kind)
        if form == "line":
            return key.with_suffix(".pub").read_bytes()
        if form in ("RFC4716", "SPKI", "PKCS1"):
            name = {"SPKI": "PKCS8", "PKCS1": "PEM"}.get(form, form)
            return run(self.folder, self.program, "-e", "-m", name, "-f", f"{kind}.pub")
        copy = self.folder / "copy"
        shutil.copy(key, copy)
        name = "RFC4716" if form == "OpenSSH" else form
        passphrase = SECRET if sealed else ""
        run(self.folder, self.program, "-q", "-p", "-m", name, "-N", passphrase, "-f", "copy", "-a", "1")
        return copy.read_bytes()

    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        if form in PUBLIC:
            if form == "line":
                text = run(self.folder, self.program, "-e", "-f", str(path))
                return parse_public_file(text).blob
            name = {"SPKI": "PKCS8", "PKCS1": "PEM"}.get(form, form)
            text = run(self.folder, self.program, "-i", "-m", name, "-f", str(path))
        else:
            text = run(self.folder, self.program, "-y", "-P", SECRET if sealed else "", "-f", str(path))
        return a2b_base64(text.split()[1])


class SSHKeygen10(SSHKeygen):
    """The one of OpenSSH 10.0."""

    name = "ssh-keygen 10.0"
    program = str(BACKPORTS / "usr" / "bin" / "ssh-keygen")
    reads_pkcs8_ed25519 = True

    @property
    def is_present(self) -> bool:
        return os.path.isfile(self.program)


class OpenSSL(KeyPeer):
    """The command openssl."""

    name = "openssl"

    @property
    def is_present(self) -> bool:
        return shutil.which("openssl") is not None

    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        if form in ("OpenSSH", "PUTTY", "PUTTY2", "line", "RFC4716"):
            return "openssl knows the formats of PEM and DER only"
        if form == "PEM" and kind in ("ed25519", "ed448"):
            return NO_PEM
        return ""

    def _key(self, kind: str) -> str:
        if not (self.folder / kind).exists():
            curves = {"ecdsa256": "P-256", "ecdsa384": "P-384", "ecdsa521": "P-521"}
            if kind == "dsa":
                run(self.folder, "openssl", "dsaparam", "-genkey", "-out", "both", "1024")
                run(self.folder, "openssl", "pkey", "-in", "both", "-out", kind)
                return kind
            if kind in curves:
                how = ("ec", "-pkeyopt", f"ec_paramgen_curve:{curves[kind]}")
            else:
                how = ("rsa", "-pkeyopt", "rsa_keygen_bits:2048") if kind == "rsa" else (kind,)
            run(self.folder, "openssl", "genpkey", "-algorithm", *how, "-out", kind)
        return kind

    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        base = ("openssl", "pkey", "-in", self._key(kind))
        cipher = ("-aes256", "-passout", f"pass:{SECRET}") if sealed else ()
        if form == "PKCS1":
            return run(self.folder, "openssl", "rsa", "-in", kind, "-RSAPublicKey_out")
        if form == "SPKI":
            return run(self.folder, *base, "-pubout")
        if form == "PEM":
            return run(self.folder, *base, "-traditional", *cipher)
        if form == "DER" and sealed:
            passphrase = ("-passout", f"pass:{SECRET}")
            return run(self.folder, "openssl", "pkcs8", "-topk8", "-in", kind, "-outform", "DER", *passphrase)
        return run(self.folder, *base, *cipher, "-outform", "DER" if form == "DER" else "PEM")

    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        if form == "PKCS1":
            command = ("rsa", "-RSAPublicKey_in")
        else:
            command = ("pkey", "-pubin") if form == "SPKI" else ("pkey",)
        how = ("-inform", "DER" if form == "DER" else "PEM", "-passin", f"pass:{SECRET}")
        data = run(self.folder, "openssl", *command, *how, "-in", str(path), "-pubout", "-outform", "DER")
        return parse_public_file(data).blob


NO_PEM = "the traditional PEM has no form for ed25519 and ed448"


class PuTTYgen(KeyPeer):
    """The command puttygen."""

    name = "puttygen"

    @property
    def is_present(self) -> bool:
        return shutil.which("puttygen") is not None

    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        if form in ("PKCS8", "DER", "SPKI", "PKCS1"):
            return "puttygen knows no PKCS#8, DER, SPKI and public PKCS#1"
        if form == "PEM":
            if kind in ("ed25519", "ed448"):
                return NO_PEM
            if reading and sealed:
                return "puttygen opens the traditional PEM only where triple DES or AES-128 seals it"
        if form == "OpenSSH" and kind == "ed448":
            return "puttygen has no ed448 in OpenSSH's format"
        return ""

    def _key(self, kind: str) -> str:
        name = f"{kind}.ppk"
        if not (self.folder / name).exists():
            size = {"e": ("-b", kind[5:]), "r": ("-b", "2048"), "d": ("-b", "1024")}[kind[0]]
            how = ("-t", kind) if kind.startswith("ed") else ("-t", kind.rstrip("0123456789"), *size)
            made = ("-q", "-C", "me", "-O", "private", "--new-passphrase", "empty", "-o", name)
            run(self.folder, "puttygen", *how, *made)
        return name

    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        base = ("puttygen", self._key(kind), "--old-passphrase", "empty", "-o", "out")
        new = ("--new-passphrase", "secret" if sealed else "empty", "-P")
        if form == "line":
            run(self.folder, *base, "-O", "public-openssh")
        elif form == "RFC4716":
            run(self.folder, *base, "-O", "public")
        elif form.startswith("PUTTY"):
            version = 2 if form == "PUTTY2" else 3
            parameters = ("--ppk-param", f"version={version},passes=2")
            run(self.folder, *base, "-O", "private", *new, *parameters)
        else:
            kind = "private-openssh" if form == "PEM" else "private-openssh-new"
            run(self.folder, *base, "-O", kind, *new)
        return (self.folder / "out").read_bytes()

    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        old = ("--old-passphrase", "secret") if sealed else ()
        return a2b_base64(run(self.folder, "puttygen", str(path), "-L", *old).split()[1])


class AsyncSSH(KeyPeer):
    """The library asyncssh."""

    name = "asyncssh"
    FORMATS: ClassVar = {
        "OpenSSH": "openssh",
        "PEM": "pkcs1-pem",
        "PKCS8": "pkcs8-pem",
        "DER": "pkcs8-der",
        "line": "openssh",
        "RFC4716": "rfc4716",
        "SPKI": "pkcs8-pem",
        "PKCS1": "pkcs1-pem",
    }

    @cached_property
    def _keys(self) -> dict[str, Any]:
        import asyncssh

        names = {"rsa": ("ssh-rsa", {"key_size": 2048}), "dsa": ("ssh-dss", {})}
        keys: dict[str, Any] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for kind, (_, bits) in TYPES.items():
                prefix = "ecdsa-sha2-nistp" if kind.startswith("ecdsa") else "ssh-"
                algorithm, size = names.get(kind, (f"{prefix}{bits or kind}", {}))
                keys[kind] = asyncssh.generate_private_key(algorithm, comment="me", **size)
        return keys

    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        if form.startswith("PUTTY"):
            return "asyncssh knows no PPK"
        if form == "PEM" and kind in ("ed25519", "ed448"):
            return NO_PEM
        return ""

    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        key = self._keys[kind]
        if form in PUBLIC:
            data: bytes = key.export_public_key(self.FORMATS[form])
            return data
        more = {"rounds": 1} if form == "OpenSSH" and sealed else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few rounds are right for a test
            data = key.export_private_key(self.FORMATS[form], SECRET if sealed else None, **more)
        assert isinstance(data, bytes)
        return data

    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        import asyncssh

        data = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if form in PUBLIC:
                blob: bytes = asyncssh.import_public_key(data).public_data
            else:
                blob = asyncssh.import_private_key(data, SECRET if sealed else None).public_data
        return blob


class Paramiko(KeyPeer):
    """The library paramiko."""

    name = "paramiko"

    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        if form in ("PUTTY", "PUTTY2", "DER", "RFC4716", "SPKI", "PKCS1", "line"):
            return "paramiko reads and writes private keys only, and no PPK or DER"
        if kind in ("ed448", "dsa"):
            return "paramiko has no ed448 and no DSA"
        if form == "PEM" and kind == "ed25519":
            return NO_PEM
        if not reading and (form != "PEM" or kind == "ed25519"):
            return "paramiko writes RSA and ECDSA in the traditional PEM only"
        if form == "PKCS8":
            return "paramiko does not read PKCS#8"
        return ""

    @cached_property
    def _keys(self) -> dict[str, Any]:
        import paramiko

        keys: dict[str, Any] = {"rsa": paramiko.RSAKey.generate(2048)}
        for bits in (256, 384, 521):
            keys[f"ecdsa{bits}"] = paramiko.ECDSAKey.generate(bits=bits)
        return keys

    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        path = self.folder / "out"
        self._keys[kind].write_private_key_file(str(path), SECRET if sealed else None)
        return path.read_bytes()

    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        import paramiko

        blob: bytes = paramiko.PKey.from_path(path, SECRET.encode() if sealed else None).asbytes()
        return blob


class Ours(KeyPeer):
    """sshkit_keys."""

    name = "sshkit"

    @cached_property
    def _keys(self) -> dict[str, PrivateKey]:
        keys = {
            kind: generate_private_key(name, bits, "me")
            for kind, (name, bits) in TYPES.items()
            if kind != "dsa"
        }
        keys["dsa"] = parse_private_key(
            (Path(__file__).parents[1] / "fuzz/corpus/private_key/pem-dsa").read_bytes()
        )
        return keys

    def unable(self, form: str, kind: str, reading: bool, sealed: bool) -> str:
        if form == "PEM" and kind in ("ed25519", "ed448"):
            return NO_PEM
        if kind == "dsa" and not reading and form in ("OpenSSH", "PEM", "PUTTY", "PUTTY2"):
            return "sshkit reads DSA, and writes it in PKCS#8 and DER only"
        return ""

    def write(self, kind: str, form: str, sealed: bool) -> bytes:
        key = self._keys[kind]
        secret = SECRET.encode() if sealed else None
        if form == "OpenSSH":
            return key.to_openssh(secret, 1, random_bytes=os.urandom)
        if form == "PUTTY2":
            return key.to_putty(secret, 2)
        if form in PUBLIC:
            name = {"line": "OpenSSH", "SPKI": "PKCS8", "PKCS1": "PEM"}.get(form, form)
            write_public = FORMATS[name].write_public
            assert write_public is not None
            return write_public(key.public)
        write_private = FORMATS[form].write_private
        assert write_private is not None
        return write_private(key, secret, os.urandom)

    def read(self, path: Path, form: str, sealed: bool) -> bytes:
        if form in PUBLIC:
            return load_public_key(path).blob
        return load_private_key(path, SECRET.encode() if sealed else None).public.blob


PEERS: tuple[type[KeyPeer], ...] = (SSHKeygen, SSHKeygen10, OpenSSL, PuTTYgen, AsyncSSH, Paramiko, Ours)
