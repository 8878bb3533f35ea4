"""Public keys in the format of RFC 4716."""

import pytest
from sshkit_keys import KeyFormatError, PrivateKey, parse_public_file
from sshkit_keys.rfc4716 import parse_rfc4716

BEGIN, END = b"---- BEGIN SSH2 PUBLIC KEY ----\n", b"---- END SSH2 PUBLIC KEY ----\n"


def body(key: PrivateKey) -> bytes:
    return key.public.to_line().split()[1].encode() + b"\n"


def test_no_line_is_longer_than_72_bytes_and_a_long_comment_survives(keys: dict[str, PrivateKey]) -> None:
    comment = "a very long comment: " + "word " * 40
    data = keys["rsa"].public.to_rfc4716(comment)
    assert max(map(len, data.splitlines())) == 72
    assert parse_public_file(data).comment == comment
    assert b'Comment: "rsa at home"\n' in keys["rsa"].public.to_rfc4716()
    assert b"Comment" not in keys["rsa"].public.to_rfc4716("")


def test_a_comment_with_control_characters_is_escaped(keys: dict[str, PrivateKey]) -> None:
    data = keys["ed25519"].public.to_rfc4716("a\nComment: b")
    assert parse_public_file(data).comment == r"a\nComment: b"


@pytest.mark.parametrize(
    ("headers", "comment"),
    [
        (b"", ""),
        (b"COMMENT: me\n", "me"),
        (b'Comment: "me"\r\n', "me"),
        (b'Comment: "\n', '"'),
        (b"Subject: you\nComment: me \\\nagain\nx-other: a\\\nb\n", "me again"),
    ],
)
def test_headers_are_read_in_every_form(keys: dict[str, PrivateKey], headers: bytes, comment: str) -> None:
    data = b"text before\n" + BEGIN + headers + body(keys["ed25519"]) + END + b"text after\n"
    key = parse_public_file(data)
    assert key == keys["ed25519"].public
    assert key.comment == comment


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (BEGIN, "id:1: the public key has no END line"),
        (b"x\n\n" + BEGIN, "id:3: the public key has no END line"),
        (END, "id:1: the public key has no END line"),
        (b"x\n" + BEGIN + b"a: b\\\n" + END, "id:3: the header goes on in no line"),
        (BEGIN + b"a" * 65 + b": b\n" + END, "id:2: the header is too long"),
        (BEGIN + b"a: " + b"b" * 1025 + b"\n" + END, "id:2: the header is too long"),
        (BEGIN + b"a: b\n!\n" + END, "id:3: the public key is not base64"),
        (BEGIN + b"AAAA\n" + END, "id:2: the public key is damaged"),
        (BEGIN + b"AAAA\n" * 14000 + END, "id: the public key has more than 65536 bytes"),
    ],
)
def test_a_damaged_file_names_line_and_cause(data: bytes, cause: str) -> None:
    with pytest.raises(KeyFormatError, match=f"^{cause}"):
        parse_rfc4716(data, "id")


def test_without_a_place_the_cause_stands_alone() -> None:
    for data in (BEGIN, BEGIN + b"a: \\\n" + END, BEGIN + b"!\n" + END):
        with pytest.raises(KeyFormatError, match=r"^the "):
            parse_rfc4716(data)
