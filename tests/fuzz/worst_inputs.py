"""The worst inputs of 1 MiB that we could think of, for every parser (rules R18 and R22).

Used by ``python -m tests.fuzz.worst_case``, which measures, and by the tests, which bound memory and calls.
"""

import struct
from binascii import b2a_base64
from collections.abc import Iterator

from sshkit_keys.pem import armour
from sshkit_keys.wire import string, uint32

from tests.fuzz.targets import seeds

SIZE = 1 << 20


def fill(piece: bytes, head: bytes = b"", tail: bytes = b"", size: int = SIZE) -> bytes:
    """Return head, as many pieces as fit, and tail."""
    return head + piece * ((size - len(head) - len(tail)) // len(piece)) + tail


def line(key_type: str, body: bytes) -> bytes:
    """Return the line of a blob."""
    return f"{key_type} ".encode() + b2a_base64(string(key_type) + body)


def nested_der(size: int) -> bytes:
    """Return sequences in each other, each five bytes shorter than the one around it."""
    return b"".join(b"\x30\x83" + struct.pack(">I", left)[1:] for left in range(size - 5, -1, -5))


def text_inputs() -> Iterator[tuple[str, bytes]]:
    for name, piece in (
        ("one long word", b"a"),
        ("spaces", b" "),
        ("empty lines", b"\n"),
        ("carriage returns", b"\r"),
        ("tiny lines", b"a\n"),
        ("tiny lines of three", b"a b\n"),
        ("comments", b"#\n"),
        ("words", b"a "),
        ("words between lines", b"a b c d e\n"),
        ("quotes", b'"'),
        ("quotes and spaces", b'" '),
        ("an option each line", b'a="" \n'),
        ("backslashes", b"\\"),
        ("commas", b","),
        ("patterns", b"*a"),
        ("names", b"a,"),
        ("negations", b"!a,"),
        ("hashes", b"|1|AAAA|AAAA "),
        ("hashed lines", b"|1|AAAA|AAAA ssh-rsa AAAA\n"),
        ("headers", b"a:\n"),
        ("zeros", b"\0"),
        ("high bytes", b"\xff"),
        ("brackets", b"["),
        ("braces", b'{"a":'),
        ("types", b"ssh-ed25519 "),
        ("types and rubbish", b"ssh-ed25519 AAAA "),
        ("types, a line each", b"ssh-rsa AAAAB3NzaC1yc2E=\n"),
        ("markers", b"@revoked "),
        ("marked lines", b"@cert-authority *a* ssh-rsa AAAAB3NzaC1yc2E=\n"),
        ("armour", b"-----BEGIN X PRIVATE KEY-----\n"),
        ("armour of public keys", b"-----BEGIN PUBLIC KEY-----\n"),
        ("armour, begun and ended", b"-----BEGIN A-----\n-----END A-----\n"),
        ("armour of RFC 4716", b"---- BEGIN SSH2 PUBLIC KEY ----\n"),
        ("armour of ssh.com", b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ---\n"),
        ("armour of signatures", b"-----BEGIN SSH SIGNATURE-----\n"),
    ):
        yield name, fill(piece)
    # Every line as long as a line may be.
    for name, piece in (("stars", b"*a"), ("options", b"a,"), ("words", b"a "), ("quoted", b'a="a",')):
        yield f"long lines of {name}", fill(fill(piece, tail=b" ssh-rsa AAAA\n", size=65000))
    pattern = b"*a" * 400 + b" "
    yield "patterns that nearly match", fill(pattern + b"ssh-rsa AAAAB3NzaC1yc2E=\n")


def key_inputs() -> Iterator[tuple[str, bytes]]:
    private, public = b"-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN PUBLIC KEY-----\n"
    yield "headers in armour", fill(b"a%d: b\n", private, b"-----END PRIVATE KEY-----\n")
    yield "a long body in armour", fill(b"AAAA", private, b"\n-----END PRIVATE KEY-----\n")
    yield "a long public body in armour", fill(b"AAAA", public, b"\n-----END PUBLIC KEY-----\n")
    for label in ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "PUBLIC KEY", "EC PRIVATE KEY"):
        for size in (60000, SIZE * 3 // 4 - 2000):
            yield f"nested DER, {label}, {size}", armour(label, nested_der(size))
    yield "nested DER", nested_der(SIZE)
    length = b"\x30\x83" + struct.pack(">I", SIZE - 5)[1:]
    yield "DER of small parts", length + b"\x02\x00" * ((SIZE - 5) // 2)
    big = b"\x02\x82\x60\x01" + b"\x7f" * 0x6001
    body = b"\x02\x01\x00" + big * 2
    yield "DER of two giants", b"\x30\x83" + struct.pack(">I", len(body))[1:] + body
    two = big * 2
    yield "public DER of two giants", b"\x30\x83" + struct.pack(">I", len(two))[1:] + two
    yield from rsa_inputs()
    yield "DER that is JSON", fill(b"[", b'{"keys":')
    yield "deep JSON below the limit", fill(b"[", b'{"kty":', size=60000)
    yield "long numbers in JSON", fill(b"1", b'{"kty":"RSA","n":', b"}", size=60000)
    yield "many members of JSON", fill(b"{},", b'{"keys":[', b"{}]}", size=60000)
    head = b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: a\n"
    yield "many lines of PuTTY", fill(b"AAAA\n", head + b"Public-Lines: 999999999\n")
    yield "many lines of PuTTY after the limit", fill(b"\n", head + b"Public-Lines: 1024\n")
    long = fill(b"A" * 4096 + b"\n", head + b"Public-Lines: 200\n")
    yield "long lines of PuTTY", long
    begin, end = b"---- BEGIN SSH2 PUBLIC KEY ----\n", b"---- END SSH2 PUBLIC KEY ----\n"
    for name, piece in (("headers", b"a: b\n"), ("a header that goes on", b"\\\n"), ("body", b"AAAA\n")):
        first = b"Comment: \\\n" if piece == b"\\\n" else b""
        for size in (60000, SIZE):
            yield f"RFC 4716 with {name}, {size}", fill(piece, begin + first, end, size)
    yield (
        "openssh-key-v1 with a giant",
        armour(
            "OPENSSH PRIVATE KEY",
            b"openssh-key-v1\0" + string("none") * 2 + string("") + uint32(1) + string(bytes(90000)),
        ),
    )
    yield (
        "openssh-key-v1 that promises",
        armour("OPENSSH PRIVATE KEY", b"openssh-key-v1\0" + string("none") * 2 + string("") + b"\xff" * 8),
    )


def rsa_inputs() -> Iterator[tuple[str, bytes]]:
    """Numbers that are as large as they may be, and of which nothing is right."""
    number = (1 << 16383) | 1
    giant = b"\x02\x82\x08\x01\x00" + number.to_bytes(2048, "big")
    half = b"\x02\x82\x04\x01\x00" + (number >> 8192 | 1).to_bytes(1024, "big")
    body = b"\x02\x01\x00" + giant + b"\x02\x03\x01\x00\x01" + giant + half * 5
    yield "a giant RSA key", b"\x30\x82" + struct.pack(">H", len(body)) + body
    fields = uint32(3) + b"\x01\x00\x01" + string(b"\0" + number.to_bytes(2048, "big"))
    yield "lines of giant RSA keys", fill(line("ssh-rsa", fields))


def blob_inputs() -> Iterator[tuple[str, bytes]]:
    name = string("ssh-rsa")
    yield "a promise of 4 GiB", name + b"\xff" * 100
    yield "a giant exponent", name + string(b"\x7f" * 2049) + string(b"\x7f" * 2049)
    yield "a blob as large as it may be", name + string(bytes(16000)) + string(bytes(16000))
    yield "a blob of 1 MiB", name + string(bytes(SIZE))
    for kind in ("ssh-ed25519", "ssh-rsa"):
        cert = f"{kind}-cert-v01@openssh.com"
        fields = string(bytes(32)) * (2 if kind == "ssh-ed25519" else 3) + bytes(8) + uint32(1) + string("id")
        principals = string(string("a") * 4000)
        times = bytes(8) + b"\xff" * 8
        rest = fields + principals + times + string(b"") * 3
        yield f"many principals, {kind}", line(cert, rest + string(bytes(50)) * 2)
        options = string((string("a") + string("")) * 2500)
        rest = fields + string("") + times + options * 2 + string(b"")
        yield f"many options, {kind}", line(cert, rest + string(bytes(50)) * 2)
    krl = b"SSHKRL\n\0" + uint32(1) + bytes(24) + string("") * 2
    yield "an empty KRL", krl
    for section in (1, 2, 3, 4, 5):
        yield (
            f"KRL, section {section} of small strings",
            krl + bytes((section,)) + string(string("a") * (SIZE // 5)),
        )
        yield f"KRL, section {section} of empty strings", krl + bytes((section,)) + string(bytes(SIZE))
        yield (
            f"KRL, section {section} of hashes",
            krl + bytes((section,)) + string(string(bytes(20)) * (SIZE // 24)),
        )
    for inner, item in (
        (0x20, bytes(8)),
        (0x21, bytes(8) + b"\xff" * 8),
        (0x22, bytes(8) + string(b"\x7f" * 100000)),
        (0x23, string("a")),
    ):
        body = string("") * 2 + bytes((inner,)) + string(item * (SIZE // len(item) or 1))
        yield f"KRL, certificates by {inner:#x}", krl + b"\x01" + string(body)
        many = string("") * 2 + (bytes((inner,)) + string(item)) * (SIZE // (len(item) + 5) or 1)
        yield f"KRL, many parts of {inner:#x}", krl + b"\x01" + string(many)
    yield "KRL, many empty sections", fill(b"\x02" + string(""), krl)
    yield (
        "KRL, many bitmaps",
        krl
        + b"\x01"
        + string(string("") * 2 + (b"\x22" + string(bytes(8) + string(b"\x7f" + b"\xff" * 4000))) * 250),
    )


def seed_inputs(target: str) -> Iterator[tuple[str, bytes]]:
    """What the real tools made, again and again; and one line's keys in as many lines as fit."""
    for number, seed in enumerate(seeds(target)):
        yield f"seed {number}, repeated", fill(seed if seed.endswith(b"\n") else seed + b"\n")
        yield f"seed {number}, and zeros", (seed + bytes(SIZE))[:SIZE]


def worst_inputs(target: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of all inputs for one parser."""
    yield from text_inputs()
    yield from key_inputs()
    yield from blob_inputs()
    yield from seed_inputs(target)
