"""Nothing secret leaves a key file by an error, whatever the format and whatever is wrong (rule R43)."""

import os
import traceback
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from sshkit_keys import PrivateKey, SSHKitError, load_private_key, parse_private_key, write_private_key
from sshkit_keys.formats import FORMATS

from tests.keys.seeds import PASSPHRASE, PRIVATE, private

WRONG = b"hunter2-hunter2"
WRITTEN = [name for name, form in FORMATS.items() if form.write_private]


def secrets_of(key: PrivateKey) -> list[str]:
    """Return the last bytes of what is secret, in the forms in which they could be shown."""
    raw = key._private_fields()[-24:]
    forms = [raw.hex(), repr(raw), repr(raw)[2:-1], str(int.from_bytes(raw, "big"))]
    for encode in (b64encode, urlsafe_b64encode):
        # Wherever the bytes lie in a longer text, some of these are in it.
        forms += [encode(raw[start:])[:20].decode() for start in range(3)]
    return forms


def everything_shown(error: BaseException) -> str:
    """Return all that a handler could print of an error: the chain, its arguments and its attributes."""
    parts = ["".join(traceback.format_exception(error))]
    seen: BaseException | None = error
    while seen is not None:
        parts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen))]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(parts)


@pytest.mark.parametrize("name", PRIVATE)
def test_r43_no_error_of_a_key_file_shows_what_is_in_it(name: str) -> None:
    data = private(name)
    key = parse_private_key(data, PASSPHRASE)
    forbidden = [*secrets_of(key), WRONG.decode()]
    tried = [(data, WRONG), (data, None)]
    step = max(1, len(data) // 24)
    for position in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[position] ^= 0x11
        tried += [(bytes(damaged), PASSPHRASE), (data[:position], PASSPHRASE)]
    for content, passphrase in tried:
        try:
            read = parse_private_key(content, passphrase, "id")
        except SSHKitError as error:
            shown = everything_shown(error)
        else:
            shown = repr(read)
        assert [secret for secret in forbidden if secret in shown] == []


@pytest.mark.parametrize("form", WRITTEN)
def test_r22_a_private_key_of_any_format_is_born_closed(
    tmp_path: Path, keys: dict[str, PrivateKey], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = FORMATS[form].write_private
    assert write is not None
    modes: list[int] = []
    opened = os.open

    def spy(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        descriptor = opened(path, flags, mode, **more)
        modes.append(os.fstat(descriptor).st_mode & 0o777)
        return descriptor

    before = os.umask(0)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", spy)
            write_private_key(tmp_path / "id", write(keys["rsa"], b"secret", os.urandom))
    finally:
        os.umask(before)
    assert modes == [0o600]
    assert load_private_key(tmp_path / "id", b"secret").public == keys["rsa"].public
