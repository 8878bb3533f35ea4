"""Private keys of every format, opened with the seeds' passphrase."""

from unittest import mock

from sshkit_keys import PassphraseRequired, openssh_format, parse_private_key, parse_public_half, pbes
from sshkit_keys import putty_secrets as putty

from tests.fuzz.targets import PASSPHRASE

# What the file may cost is no fault of the parser: here it may cost little.
CHEAP = (
    mock.patch.multiple(openssh_format, MAX_ROUNDS=4),
    mock.patch.multiple(pbes, MAX_ROUNDS=4096, MAX_SCRYPT_COST=1 << 17),
    mock.patch.multiple(putty, MAX_MEMORY_KIB=1024, MAX_COST_KIB=4096),
)


def parse(data: bytes) -> None:
    for patch in CHEAP:
        patch.start()
    try:
        try:
            public = parse_public_half(data)
        except PassphraseRequired:
            public = None
        key = parse_private_key(data, PASSPHRASE)
        assert public is None or key.public == public
        # What was read can be written and is the same.
        assert parse_private_key(key.to_openssh(random_bytes=bytes)).public == key.public
    finally:
        for patch in CHEAP:
            patch.stop()
