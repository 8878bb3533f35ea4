"""Signatures of files, SSHSIG."""

from sshkit_keys.signatures import hash_message, parse_signature


def parse(data: bytes) -> None:
    signature = parse_signature(data)
    signature.verify(hash_message(b"seed\n"), "file")
