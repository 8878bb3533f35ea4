"""Revocation lists: what they catch, what they refuse to be, and what they look like."""

import os
import random
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from sshkit_keys import (
    Certificate,
    KeyFileError,
    KeyFormatError,
    PrivateKey,
    RevocationList,
    RevokedKeyError,
    UnsupportedKey,
    generate_private_key,
    sign_certificate,
)
from sshkit_keys.revocation import MAX_FILE_BYTES
from sshkit_keys.revocation_serials import BITMAP, LIST, MAX_SERIAL, RANGE, SerialSet, encode_sections
from sshkit_keys.wire import boolean, byte, mpint, string, uint32, uint64

NOW = 1_700_000_000
HEAD = b"SSHKRL\n\0" + uint32(1) + uint64(3) + uint64(NOW) + uint64(0) + string(b"") + string("why")


@pytest.fixture(scope="module")
def authority() -> PrivateKey:
    return generate_private_key("ed25519", comment="authority")


@pytest.fixture(scope="module")
def user() -> PrivateKey:
    return generate_private_key("ed25519", comment="user")


def certify(authority: PrivateKey, user: PrivateKey, serial: int = 0, key_id: str = "id") -> Certificate:
    return sign_certificate(
        authority, user.public, role="user", key_id=key_id, serial=serial, random_bytes=os.urandom
    )


def again(revoked: RevocationList) -> RevocationList:
    """Return the list after a journey through its binary form."""
    data = revoked.to_bytes(generated=NOW)
    read = RevocationList.parse(data, "the list")
    assert read.to_bytes(generated=NOW) == data
    return read


def section(kind: int, contents: bytes) -> bytes:
    return byte(kind) + string(contents)


def of_authority(*parts: bytes, key: bytes = b"") -> bytes:
    return HEAD + section(1, string(key) + string(b"") + b"".join(parts))


# ----- what is caught


def test_a_key_is_revoked_by_itself_or_a_hash(authority: PrivateKey, user: PrivateKey) -> None:
    revoked = RevocationList()
    again(revoked).check(user.public)
    for revoke, how in (
        (lambda empty: empty.revoke_key(user.public), "by name"),
        (lambda empty: empty.revoke_hash(user.public), "by its SHA-256 hash"),
        (lambda empty: empty.revoke_hash(user.public, "sha1"), "by its SHA-1 hash"),
        (lambda empty: empty.revoke_fingerprint(user.public.fingerprint()), "by its SHA-256 hash"),
    ):
        revoked = RevocationList()
        revoke(revoked)
        revoked = again(revoked)
        name = user.public.fingerprint().replace("+", r"\+")
        with pytest.raises(RevokedKeyError, match=f"^the list: the key ssh-ed25519 {name} is revoked {how}$"):
            revoked.check(user.public)
        with pytest.raises(RevokedKeyError, match=f"the certified key .* {how}"):
            revoked.check(certify(authority, user))
        revoked.check(authority.public)
        with pytest.raises(RevokedKeyError, match=f"the certificate's authority .* {how}"):
            revoked.check(certify(user, authority))


def test_r7_a_certificate_is_revoked_by_serial_or_key_id_of_its_authority(
    authority: PrivateKey, user: PrivateKey
) -> None:
    revoked = RevocationList()
    revoked.revoke_key(certify(authority, user, 7))
    revoked.revoke_key(certify(authority, user, 0, "no\x1bnumber"))
    revoked.revoke_serials(authority.public, 100, 2**63)
    revoked = again(revoked)
    for serial, key_id, how in (
        (7, "id", "by the serial 7 of its authority"),
        (100, "id", "by the serial 100 of its authority"),
        (2**63, "id", f"by the serial {2**63} of its authority"),
        (8, "no\x1bnumber", r"by the key id 'no\\x1bnumber' of its authority"),
    ):
        with pytest.raises(RevokedKeyError, match=f"the certificate .* is revoked {how}"):
            revoked.check(certify(authority, user, serial, key_id))
    for serial in (0, 6, 8, 99, 2**63 + 1):
        revoked.check(certify(authority, user, serial))
    revoked.check(user.public)
    revoked.check(certify(user, user, 7))


def test_any_authority_can_be_meant(authority: PrivateKey, user: PrivateKey) -> None:
    revoked = RevocationList()
    revoked.revoke_serials(None, 7)
    revoked.revoke_key_id(None, "gone")
    revoked = again(revoked)
    for made in (certify(authority, user, 7), certify(user, user, 7), certify(user, user, 1, "gone")):
        with pytest.raises(RevokedKeyError, match="of any authority"):
            revoked.check(made)
    revoked.check(certify(user, user, 8))


def test_a_certificates_key_is_revoked_on_demand(authority: PrivateKey, user: PrivateKey) -> None:
    revoked = RevocationList()
    revoked.revoke_key(certify(authority, user, 7), explicit=True)
    with pytest.raises(RevokedKeyError, match="by name"):
        revoked.check(user.public)
    revoked = RevocationList()
    revoked.revoke_hash(certify(authority, user, 7))
    with pytest.raises(RevokedKeyError, match="by its SHA-256 hash"):
        revoked.check(user.public)


@pytest.mark.parametrize("text", ["MD5:00", "SHA256:", "SHA256:AAAA", "x", "SHA256:" + "z" * 64, "SHA256:é"])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError, match=r"^here: .* is no fingerprint SHA256"):
        RevocationList().revoke_fingerprint(text, "here")


def test_an_unknown_hash_is_refused(user: PrivateKey) -> None:
    with pytest.raises(UnsupportedKey, match="unknown hash 'md5'"):
        RevocationList().revoke_hash(user.public, "md5")


# ----- lists of keys, and files


def test_a_plain_list_of_keys_is_a_revocation_list(
    authority: PrivateKey, user: PrivateKey, tmp_path: Path
) -> None:
    certificate = certify(authority, user, 7)
    unknown = "sk-future AAAACXNrLWZ1dHVyZQ== x"
    path = tmp_path / "list"
    path.write_text(f"# comment\n\n  {certificate.to_line()}\n{unknown}\n")
    revoked = RevocationList.load(path)
    assert len(revoked.keys) == 2
    with pytest.raises(RevokedKeyError, match=f"^{path}: the key "):
        revoked.check(user.public)
    revoked.check(authority.public)


@pytest.mark.parametrize("line", ["ssh-ed25519", "ssh-ed25519 !!", "junk", "ssh-ed25519 AAAA"])
def test_a_list_that_is_not_understood_whole_is_refused(line: str) -> None:
    with pytest.raises(KeyFormatError, match=r"^f:2: "):
        RevocationList.parse(f"# a\n{line}\n".encode(), "f")


def test_r7_a_certificate_in_a_list_that_cannot_be_read_is_an_error(user: PrivateKey) -> None:
    from base64 import b64encode

    for name, error in (
        ("x-cert-v01@openssh.com", UnsupportedKey),
        ("ssh-rsa-cert-v01@openssh.com", KeyFormatError),
    ):
        line = f"{name} {b64encode(string(name)).decode()}"
        with pytest.raises(error, match=r"^f:1: "):
            RevocationList.parse(line.encode(), "f")


def test_an_empty_file_revokes_nothing(user: PrivateKey) -> None:
    RevocationList.parse(b"").check(user.public)


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RevocationList.load(tmp_path / "none")


def test_r18_a_list_that_is_too_large_is_not_looked_at() -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return MAX_FILE_BYTES + 1

    with pytest.raises(KeyFormatError, match="larger than"):
        RevocationList.parse(Large())


# ----- the binary form


def test_the_head_is_kept() -> None:
    revoked = RevocationList.parse(HEAD)
    assert (revoked.version, revoked.generated, revoked.comment) == (3, NOW, "why")
    assert revoked.to_bytes(generated=NOW) == HEAD
    assert RevocationList.parse(revoked.to_bytes(4, "new", generated=NOW + 1)).comment == "new"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (HEAD[:8] + uint32(2) + HEAD[12:], "format 2"),
        (HEAD + section(4, b""), "signed"),
        (HEAD + section(6, b""), "section of type 6"),
        (HEAD + section(255, string("a@b") + boolean(True) + string("")), "critical extension 'a@b'"),
        (of_authority(section(0x24, b"")), "certificate section of type 36"),
        (of_authority(section(0x39, string("c@d") + boolean(True) + string(""))), "extension 'c@d'"),
    ],
)
def test_r7_a_list_that_says_more_than_is_understood_is_refused(data: bytes, cause: str) -> None:
    with pytest.raises(UnsupportedKey, match=f"^here: .*{cause}"):
        RevocationList.parse(data, "here")


def test_extensions_that_need_not_be_understood_are_passed_over(authority: PrivateKey) -> None:
    extension = string("a@b") + boolean(False) + string("x")
    data = of_authority(section(0x39, extension), section(0x20, uint64(7)), key=authority.public.blob)
    revoked = RevocationList.parse(data + section(255, extension))
    assert 7 in revoked.authorities[authority.public.blob].serials


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (HEAD[:-1], "damaged"),
        (HEAD + b"\1", "damaged"),
        (HEAD + section(2, b"\0\0\0\2a"), "2 bytes wanted"),
        (HEAD + section(3, string(bytes(19))), "a hash of 19 bytes, expected 20"),
        (HEAD + section(5, string(bytes(20))), "a hash of 20 bytes, expected 32"),
        (of_authority(section(0x20, bytes(7))), "damaged"),
        (of_authority(section(0x20, uint64(0))), "0-0 is no range"),
        (of_authority(section(0x21, uint64(0) + uint64(5))), "0-5 is no range"),
        (of_authority(section(0x21, uint64(6) + uint64(5))), "6-5 is no range"),
        (of_authority(section(0x21, uint64(6) + uint64(7) + b"\0")), "1 bytes left over"),
        (of_authority(section(0x22, uint64(0) + mpint(1))), "leaves their range"),
        (of_authority(section(0x22, uint64(MAX_SERIAL) + mpint(2))), "leaves their range"),
        (of_authority(section(0x22, uint64(1) + mpint(-1))), "negative"),
        (of_authority(section(0x22, uint64(1) + string(b"\1" + bytes(2049)))), "at most 2049"),
        (of_authority(section(0x23, b"\0")), "damaged"),
    ],
)
def test_r18_a_damaged_list_is_refused(data: bytes, cause: str) -> None:
    with pytest.raises(KeyFormatError, match=f"^here: .*{cause}"):
        RevocationList.parse(data, "here")


def test_r18_every_cut_of_a_list_is_refused(authority: PrivateKey, user: PrivateKey) -> None:
    revoked = RevocationList()
    revoked.revoke_key(user.public)
    revoked.revoke_serials(authority.public, 5, 500)
    data = revoked.to_bytes(generated=NOW)
    whole = [len(HEAD) - 3, len(data) - 5 - 4 - len(user.public.blob)]
    for size in range(8, len(data)):
        if size in whole:  # between two sections
            RevocationList.parse(data[:size])
        else:
            with pytest.raises(KeyFormatError):
                RevocationList.parse(data[:size])


def test_r18_serials_are_never_multiplied_out(user: PrivateKey) -> None:
    pattern = int("01" * 8000, 2)
    parts = [section(0x21, uint64(1) + uint64(2**64 - 1))]
    parts += [section(0x22, uint64(2**40 + n * 16384) + mpint(pattern)) for n in range(500)]
    parts += [section(0x22, uint64(2**50) + mpint(1))] * 2000
    data = of_authority(*parts)
    assert len(data) > 10**6
    tracemalloc.start()
    revoked = RevocationList.parse(data)
    assert 2**63 in revoked.authority(b"").serials
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


# ----- sets of serials


def test_a_set_of_serials_holds_what_was_put_in() -> None:
    made = random.Random(5)
    for _ in range(40):
        serials, expected = SerialSet(), set[int]()
        assert not serials
        for _ in range(made.randrange(1, 30)):
            low = made.randrange(1, 3000)
            if made.random() < 0.5:
                high = low + made.choice((0, 0, 1, 5, 100))
                serials.add(low, high)
                expected |= set(range(low, high + 1))
            else:
                bits = made.getrandbits(made.choice((1, 8, 64, 500)))
                serials.add_bitmap(low, bits)
                expected |= {low + n for n in range(bits.bit_length()) if bits >> n & 1}
        assert bool(serials) is bool(expected)
        assert {n for n in range(4000) if n in serials} == expected
        flat = [n for low, high in serials.ranges() for n in range(low, high + 1)]
        assert flat == sorted(expected)
        runs = list(serials.ranges())
        assert all(a[1] + 1 < b[0] for a, b in pairwise(runs))
        merged = SerialSet()
        merged.update(serials)
        merged.add(5000, 5000)
        assert 5000 in merged
        assert 5000 not in serials
        assert list(merged.ranges()) == [*runs, (5000, 5000)]


def test_the_last_serial_can_be_revoked() -> None:
    serials = SerialSet()
    serials.add(MAX_SERIAL, MAX_SERIAL)
    serials.add_bitmap(MAX_SERIAL, 1)
    assert list(serials.ranges()) == [(MAX_SERIAL, MAX_SERIAL)]
    with pytest.raises(KeyFormatError, match="is no range of serials"):
        serials.add(1, MAX_SERIAL + 1)
    with pytest.raises(KeyFormatError, match="too large"):
        serials.add_bitmap(1, 1 << 16384)


def kinds(*ranges: tuple[int, int]) -> list[int]:
    serials = SerialSet()
    for low, high in ranges:
        serials.add(low, high)
    return [kind for kind, _ in encode_sections(serials)]


def test_serials_are_written_in_the_shortest_sections() -> None:
    assert kinds() == []
    assert kinds((5, 5)) == [LIST]
    assert kinds((5, 5), (2**40, 2**40), (2**50, 2**50)) == [LIST]
    assert kinds((1, 100000)) == [RANGE]
    assert kinds((1, 1), (3, 3), (5, 5), (8, 20)) == [BITMAP]
    assert kinds((1, 1), (3, 3), (2**40, 2**40 + 2**30)) == [BITMAP, RANGE]
    assert kinds((1, 100000), (200000, 300000)) == [RANGE, RANGE]
    assert kinds((1, 1), (3, 30), (5000, 5030), (5040, 5070)) == [BITMAP, BITMAP]


def test_no_bitmap_grows_beyond_what_others_read() -> None:
    revoked = RevocationList()
    for serial in range(1, 40001, 2):
        revoked.revoke_serials(None, serial)
    read = again(revoked)
    assert list(read.authority(b"").serials.ranges()) == [(n, n) for n in range(1, 40001, 2)]
    assert kinds(*((n, n) for n in range(1, 40001, 2))) == [BITMAP] * 3


# ----- specifications


def test_a_specification_revokes_what_it_says(authority: PrivateKey, user: PrivateKey) -> None:
    keys = [generate_private_key("ed25519") for _ in range(6)]
    lines = [key.public.to_line() for key in keys]
    text = "\n".join(
        [
            "# comment",
            "",
            "serial: 5   # five",
            "SERIAL:\t7-9",
            "serial: 0x10-0x1F",
            "serial: 0100",
            "id: some name ",
            lines[0],
            f"key: {lines[1]}",
            f"sha1: {lines[2]}",
            f"sha256:{lines[3]}",
            f"hash: {keys[4].public.fingerprint()}",
            certify(authority, keys[5], 1000).to_line(),
            f"key: {certify(authority, keys[5], 2000).to_line()}\r",
        ]
    )
    revoked = RevocationList("spec")
    revoked.update(text.encode(), authority.public, place="spec")
    revoked = again(revoked)
    for key in keys:
        with pytest.raises(RevokedKeyError):
            revoked.check(key.public)
    mine = revoked.authorities[authority.public.blob]
    assert list(mine.serials.ranges()) == [(5, 5), (7, 9), (16, 31), (64, 64), (1000, 1000)]
    assert mine.key_ids == {b"some name"}
    revoked.check(user.public)
    anyone = RevocationList()
    anyone.update(b"serial: 5\nid: a", any_authority=True)
    assert 5 in anyone.authorities[b""].serials


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("serial:", "is no serial"),
        ("serial: 0", "not from 1"),
        ("serial: 1x", "is no serial"),
        ("serial: -1", "is no serial"),
        ("serial: 08", "is no serial"),
        ("serial: 0x", "is no serial"),
        ("serial: 18446744073709551616", "not from 1"),
        ("serial: 111111111111111111111111", "is no serial"),
        ("serial: 9-7", "ends before it starts"),
        ("serial: 7-7", "ends before it starts"),
        ("serial: 7-", "is no serial"),
        ("serial: 7-8-9", "is no serial"),
        ("id:", "no key id"),
        ("hash: MD5:00", "no fingerprint"),
        ("key: junk", "not a public key line"),
        ("sha1: ssh-ed25519 AAAA", "damaged"),
        ("nonsense: 5", "not base64"),
        ("junk", "not a public key line"),
    ],
)
def test_a_specification_that_is_not_understood_names_its_line(
    authority: PrivateKey, line: str, cause: str
) -> None:
    with pytest.raises(KeyFileError, match=f"^spec:2: .*{cause}"):
        RevocationList().update(f"\n{line}\n".encode(), authority.public, place="spec")


@pytest.mark.parametrize("line", ["serial: 5", "id: a"])
def test_serials_and_key_ids_need_an_authority(line: str) -> None:
    with pytest.raises(KeyFormatError, match=r"s:1: revoking certificates by .* needs their authority's key"):
        RevocationList().update(line.encode(), place="s")


def test_a_specification_of_any_bytes_is_an_error_or_read(authority: PrivateKey) -> None:
    made = random.Random(7)
    for _ in range(300):
        noise = made.choice((b"", b"serial:", b"id:", b"hash:SHA256:", b"key:ssh-rsa ")) + made.randbytes(30)
        try:
            RevocationList().update(noise, authority.public)
        except KeyFileError:
            continue
        assert noise.lower().startswith((b"id:", b"#", b"serial:")) or not noise.partition(b"#")[0].strip()


# ----- joined and shown


def test_lists_are_joined(authority: PrivateKey, user: PrivateKey) -> None:
    one, two = RevocationList(), RevocationList()
    one.revoke_serials(authority.public, 5)
    two.revoke_serials(authority.public, 6)
    two.revoke_serials(None, 9)
    two.revoke_key_id(authority.public, "a")
    two.revoke_key(user.public)
    two.revoke_hash(user.public)
    two.revoke_hash(user.public, "sha1")
    two.authority(b"").serials.add_bitmap(100, 5)
    one.merge(two)
    assert list(one.authorities[authority.public.blob].serials.ranges()) == [(5, 6)]
    assert list(one.authorities[b""].serials.ranges()) == [(9, 9), (100, 100), (102, 102)]
    assert (one.keys, one.sha1, one.sha256) == (two.keys, two.sha1, two.sha256)
    assert one.authorities[authority.public.blob].key_ids == {b"a"}


def test_a_list_is_shown_with_controls_escaped(authority: PrivateKey, user: PrivateKey) -> None:
    revoked = RevocationList.parse(HEAD)
    revoked.comment = "a\x1b"
    revoked.revoke_key(user.public)
    revoked.keys.add(b"\0\0")
    revoked.revoke_serials(authority.public, 5)
    revoked.revoke_serials(authority.public, 7, 9)
    revoked.revoke_key_id(authority.public, "b\nc")
    revoked.revoke_key_id(None, "d")
    lines = list(revoked.lines())
    assert lines[0] == "# KRL version 3"
    assert lines[1].startswith("# Generated at 2023111")
    assert lines[2:4] == [r"# Comment: a\x1b", ""]
    assert lines[4].endswith("# (damaged)")
    assert lines[5:] == [
        f"hash: {user.public.fingerprint()} # ssh-ed25519",
        "",
        f"# CA key ssh-ed25519 {authority.public.fingerprint()}",
        "serial: 5",
        "serial: 7-9",
        r"id: b\nc",
        "",
        "# Wildcard CA",
        "id: d",
    ]


def test_what_is_shown_of_hashes_can_be_revoked_again(user: PrivateKey) -> None:
    revoked = RevocationList()
    revoked.revoke_hash(user.public)
    revoked.revoke_hash(user.public, "sha1")
    lines = [line for line in revoked.lines() if line.startswith("hash:")]
    reread = RevocationList()
    reread.update("\n".join(lines).encode())
    assert reread.sha256 == revoked.sha256
    assert revoked.lines().__next__() == "# KRL version 0"
