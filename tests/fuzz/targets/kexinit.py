"""KEXINIT (RFC 4253 section 7.1): the record, and what is chosen, in both roles."""

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.transport.negotiation import negotiate, parse_proposal, propose
from tests.fuzz.targets.pieces import random_bytes

OURS = propose(DEFAULT, ("ssh-ed25519",), (), random_bytes(16))


def parse(data: bytes) -> None:
    payload = b"\x14" + data
    parse_proposal(payload)
    for is_client in (False, True):
        negotiate(DEFAULT, OURS, payload, is_client=is_client)
