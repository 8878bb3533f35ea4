"""sshkit-keygen makes key revocation lists (-k) and asks them (-Q) (ssh-keygen(1), KEY REVOCATION LISTS)."""

import os
import sys
from time import time

from sshkit_keys.errors import KeyFileError, RevokedKeyError
from sshkit_keys.file_access import write_new_file
from sshkit_keys.key_files import load_public_key
from sshkit_keys.revocation import RevocationList
from sshkit_keys.text import printable

from sshkit_cli.keygen import Options, UsageError
from sshkit_cli.keygen_certify import MAX_SERIAL
from sshkit_cli.keygen_files import read_file

_ANY_AUTHORITY = "none"


def make_list(options: Options) -> int:
    """Write a list that revokes what the files say; with -u, added to the list that is there."""
    path = _list_path(options)
    revoked = RevocationList.load(path) if "-u" in options.values else RevocationList(path)
    authority_path = options.values.get("-s", "")
    any_authority = authority_path.lower() == _ANY_AUTHORITY
    authority = load_public_key(authority_path) if authority_path and not any_authority else None
    for name in options.files:
        data, place = read_file(name)
        if not options.quiet:
            print(f"Revoking from {printable(place)}")
        revoked.update(data, authority, any_authority=any_authority, place=place)
    text = options.values.get("-z", str(revoked.version))
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > MAX_SERIAL:
        raise UsageError(f"Invalid version number {printable(text)}")
    data = revoked.to_bytes(int(text), options.values.get("-C"), generated=int(time()))
    write_new_file(path, data, 0o644, overwrite=True)
    return 0


def ask_list(options: Options) -> int:
    """Say of the keys in each file whether they are revoked; status 1 if one is."""
    revoked = RevocationList.load(_list_path(options))
    if "-l" in options.values:
        for line in revoked.lines():
            print(line)
    status = 0
    for path in options.files:
        try:
            key = load_public_key(path)
        except (KeyFileError, OSError) as error:
            if isinstance(error, OSError):
                print(f"sshkit-keygen: {printable(path)}: {error.strerror}", file=sys.stderr)
            else:
                print(f"sshkit-keygen: {error}", file=sys.stderr)
            status = 1
            continue
        try:
            revoked.check(key)
            verdict = "ok"
        except RevokedKeyError:
            verdict, status = "REVOKED", 1
        comment = f" ({printable(key.comment)})" if key.comment else ""
        if not options.quiet:
            print(f"{printable(path)}{comment}: {verdict}")
    return status


def _list_path(options: Options) -> str:
    path = options.values.get("-f")
    if not path:
        raise UsageError("KRL checking and making need a file (-f)")
    return os.fspath(path)
