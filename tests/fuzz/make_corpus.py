"""Make the seeds of the fuzz targets anew, with the real tools: ``python -m tests.fuzz.make_corpus``.

Takes ssh-keygen, openssl (with its legacy provider) and puttygen.  The keys are made for this purpose and
guard nothing; those that are encrypted open with "secret".
"""

import json
import shutil
import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from sshkit_keys import load_private_key, load_public_key

from tests.fuzz.targets import CORPUS, PASSPHRASE

SECRET = PASSPHRASE.decode()
KINDS = (("ed25519", "256"), ("ecdsa", "256"), ("ecdsa", "521"), ("rsa", "2048"))
PBES1 = ("PBE-MD5-DES", "PBE-SHA1-DES", "PBE-SHA1-3DES", "PBE-SHA1-2DES", "PBE-SHA1-RC2-40")
PBES1 += ("PBE-SHA1-RC2-128", "PBE-SHA1-RC4-40", "PBE-SHA1-RC4-128")
DEK = ("aes128", "aes192", "aes256", "des", "des3", "camellia128", "camellia192", "camellia256")


def run(folder: Path, *command: str) -> bytes:
    """Run a tool in `folder`."""
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return done.stdout


def keygen(folder: Path, *arguments: str) -> bytes:
    return run(folder, "ssh-keygen", "-q", *arguments)


def make_keys(folder: Path) -> None:
    """Make the pairs that all seeds come from: ed25519-256 and so on, and a CA."""
    for kind, bits in KINDS:
        keygen(folder, "-t", kind, "-b", bits, "-f", f"{kind}-{bits}", "-N", "", "-C", "seed")
    keygen(folder, "-t", "ed25519", "-f", "ca", "-N", "", "-C", "ca")
    (folder / "pass").write_text(SECRET)
    (folder / "none").write_text("")


def private_keys(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of a private key in every format."""
    for kind, bits in KINDS:
        name = f"{kind}-{bits}"
        yield f"openssh-{name}", (folder / name).read_bytes()
        for form in ("PEM", "PKCS8"):
            if kind == "ed25519" or bits == "521":
                continue
            copy = folder / "copy"
            shutil.copy(folder / name, copy)
            keygen(folder, "-p", "-m", form, "-f", "copy", "-N", "")
            yield f"{form.lower()}-{name}", copy.read_bytes()
            shutil.copy(folder / name, copy)
            keygen(folder, "-p", "-m", form, "-f", "copy", "-N", SECRET)
            yield f"{form.lower()}-{name}-sealed", copy.read_bytes()
            if form == "PKCS8":
                keygen(folder, "-p", "-m", form, "-f", "copy", "-P", SECRET, "-N", "")
                yield f"der-{name}", run(folder, "openssl", "pkey", "-in", "copy", "-outform", "DER")
    for cipher in ("aes256-ctr", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "3des-cbc"):
        shutil.copy(folder / "ed25519-256", folder / "copy")
        keygen(folder, "-p", "-f", "copy", "-N", SECRET, "-Z", cipher, "-a", "1")
        yield f"openssh-{cipher.partition('@')[0]}", (folder / "copy").read_bytes()
    yield from openssl_keys(folder)
    yield from putty_keys(folder)
    yield "jwk-ed25519", jwk(folder, True)


def openssl_keys(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what openssl wrote over the years, of one small key."""
    run(folder, "openssl", "genpkey", "-algorithm", "ed25519", "-out", "openssl-ed25519")
    yield "pkcs8-ed25519", (folder / "openssl-ed25519").read_bytes()
    run(folder, "openssl", "genpkey", "-algorithm", "ed448", "-out", "openssl-ed448")
    yield "pkcs8-ed448", (folder / "openssl-ed448").read_bytes()
    run(folder, "openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "openssl-ec")
    legacy = ("-provider", "default", "-provider", "legacy")
    sealed = ("-topk8", "-in", "openssl-ec", "-passout", f"pass:{SECRET}")
    for scheme in PBES1:
        data = run(folder, "openssl", "pkcs8", *legacy, *sealed, "-v1", scheme)
        yield f"pbes1-{scheme.lower()}", data
    for cipher in ("aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3", "rc2"):
        data = run(folder, "openssl", "pkcs8", *legacy, *sealed, "-v2", cipher)
        yield f"pbes2-{cipher}", data
    for hmac in ("hmacWithSHA1", "hmacWithSHA512"):
        yield f"pbes2-{hmac}", run(folder, "openssl", "pkcs8", *sealed, "-v2prf", hmac)
    yield "pbes2-scrypt", run(folder, "openssl", "pkcs8", *sealed, "-scrypt")
    yield "der-sealed", run(folder, "openssl", "pkcs8", *sealed, "-outform", "DER")
    for cipher in DEK:
        arguments = ("-in", "openssl-ec", f"-{cipher}", "-passout", f"pass:{SECRET}")
        yield f"dek-{cipher}", run(folder, "openssl", "ec", *arguments)
    run(folder, "openssl", "dsaparam", "-genkey", "-out", "dsa-both", "1024")
    yield "pem-dsa", run(folder, "openssl", "dsa", "-in", "dsa-both")


def putty_keys(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield PuTTY's files of both versions, plain and encrypted."""
    for kind in ("ed25519", "ed448", "ecdsa", "rsa", "dsa"):
        size = {"ecdsa": ("-b", "256"), "rsa": ("-b", "2048"), "dsa": ("-b", "1024")}.get(kind, ())
        made = ("-t", kind, *size, "-q", "-O", "private", "-o", "first.ppk", "-C", "seed")
        run(folder, "puttygen", *made, "--new-passphrase", "none")
        for version in ("2", "3"):
            for name, passphrase in (("plain", "none"), ("sealed", "pass")):
                if kind in ("ed448", "dsa") and version == "2":
                    continue
                run(
                    folder,
                    *("puttygen", "first.ppk", "-P", "-O", "private", "-o", "second.ppk"),
                    *("--old-passphrase", "none", "--new-passphrase", passphrase),
                    *("--ppk-param", f"version={version},memory=64,passes=1"),
                )
                yield f"putty{version}-{kind}-{name}", (folder / "second.ppk").read_bytes()


def jwk(folder: Path, private: bool) -> bytes:
    """Return the ed25519 key as a JSON Web Key (RFC 8037); no tool here writes one."""
    key = load_private_key(folder / "ed25519-256")
    members = {"kty": "OKP", "crv": "Ed25519", "kid": "seed", "x": b64(key.public.blob[-32:])}
    if private:
        members["d"] = b64(key._handle().private_bytes_raw())
    return json.dumps(members).encode()


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def public_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for kind, bits in KINDS:
        name = f"{kind}-{bits}"
        yield f"line-{name}", (folder / f"{name}.pub").read_bytes()
        yield f"rfc4716-{name}", keygen(folder, "-e", "-f", f"{name}.pub")
        if kind != "ed25519":
            yield f"spki-{name}", keygen(folder, "-e", "-m", "PKCS8", "-f", f"{name}.pub")
    yield "pkcs1-rsa", keygen(folder, "-e", "-m", "PEM", "-f", "rsa-2048.pub")
    yield "spki-ed448", run(folder, "openssl", "pkey", "-in", "openssl-ed448", "-pubout")
    yield "der-ec", run(folder, "openssl", "pkey", "-in", "openssl-ec", "-pubout", "-outform", "DER")
    yield "jwk-ed25519", jwk(folder, False)
    yield "certificate", certificate(folder)


def certificate(folder: Path, *options: str) -> bytes:
    """Return a user's certificate as a line."""
    signing = ("-s", "ca", "-I", "seed", "-n", "root,web", "-V", "20200101:20400101", "-z", "7")
    keygen(folder, *signing, *options, "ed25519-256.pub")
    return (folder / "ed25519-256-cert.pub").read_bytes()


def certificates(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield "user", certificate(folder)
    yield "host", certificate(folder, "-h")
    limits = ("-O", "force-command=true", "-O", "source-address=192.0.2.0/24", "-O", "no-pty")
    yield "limited", certificate(folder, *limits)
    yield "plain", (folder / "ed25519-256.pub").read_bytes()


def public_blobs(folder: Path) -> Iterator[tuple[str, bytes]]:
    for kind, bits in KINDS:
        yield f"{kind}-{bits}", load_public_key(folder / f"{kind}-{bits}.pub").blob


def trust_line(folder: Path, name: str = "ed25519-256") -> str:
    return " ".join((folder / f"{name}.pub").read_text().split()[:2])


def known_hosts(folder: Path) -> Iterator[tuple[str, bytes]]:
    key = trust_line(folder)
    text = f"host.example.org,192.0.2.1 {key} comment\n[host.example.org]:2222 {key}\n"
    text += f"*.example.org,!bad.example.org {key}\n@revoked * {key}\n@cert-authority *.net {key}\n# no\n\n"
    yield "plain", text.encode()
    hashed = folder / "hashed"
    hashed.write_text(f"host.example.org {key}\n[host.example.org]:2222 {trust_line(folder, 'rsa-2048')}\n")
    keygen(folder, "-H", "-f", "hashed")
    yield "hashed", hashed.read_bytes()


def authorized_keys(folder: Path) -> Iterator[tuple[str, bytes]]:
    key = trust_line(folder)
    options = 'restrict,pty,command="echo \\"a b\\"",from="192.0.2.*,!192.0.2.1",permitopen="host:80"'
    more = 'cert-authority,principals="root,web",expiry-time="20400101",environment="A=b",tunnel="1"'
    yield "options", f"# mine\n\n{options} {key} me\n{more} {key}\n{key}\n".encode()


def principals(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield "names", b'# who\nroot\nfrom="192.0.2.1",no-pty web\n\n'


def signers(folder: Path) -> Iterator[tuple[str, bytes]]:
    key = trust_line(folder)
    options = 'namespaces="file,git",valid-after="20200101",valid-before="20400101"'
    yield (
        "signers",
        f"# who\nme@example.org,*@example.net {options} {key}\nca cert-authority {key}\n".encode(),
    )


def signatures(folder: Path) -> Iterator[tuple[str, bytes]]:
    for kind, bits in KINDS:
        (folder / "text").write_text("seed\n")
        (folder / "text.sig").unlink(missing_ok=True)
        keygen(folder, "-Y", "sign", "-n", "file", "-f", f"{kind}-{bits}", "text")
        yield f"{kind}-{bits}", (folder / "text.sig").read_bytes()


def revocations(folder: Path) -> Iterator[tuple[str, bytes]]:
    (folder / "spec").write_text(
        f"serial: 1-5\nserial: 9\nid: seed\nkey: {trust_line(folder)}\n"
        f"sha1: {trust_line(folder, 'ecdsa-256')}\nsha256: {trust_line(folder, 'rsa-2048')}\n"
    )
    keygen(folder, "-k", "-f", "list", "-s", "ca.pub", "-z", "3", "spec")
    yield "krl", (folder / "list").read_bytes()
    yield "lines", (folder / "ed25519-256.pub").read_bytes()


def records(folder: Path) -> Iterator[tuple[str, bytes]]:
    text = run(folder, "ssh-keygen", "-r", "host.example.org", "-f", "ed25519-256.pub")
    for number, line in enumerate(text.splitlines()):
        yield f"record-{number}", line


def find_keys(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield from known_hosts(folder)
    yield from authorized_keys(folder)


MAKERS = {
    "private_key": private_keys,
    "public_file": public_files,
    "public_blob": public_blobs,
    "find_keys": find_keys,
    "certificate": certificates,
    "known_hosts": known_hosts,
    "authorized_keys": authorized_keys,
    "authorized_principals": principals,
    "allowed_signers": signers,
    "signature": signatures,
    "revocation": revocations,
    "sshfp": records,
}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_keys(folder)
        for target, make in MAKERS.items():
            home = CORPUS / target
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            for seed, data in make(folder):
                (home / seed).write_bytes(data)


if __name__ == "__main__":
    main()
