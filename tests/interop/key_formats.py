"""Print the matrix of key files: ``python -m tests.interop.key_formats`` (or ``make keys-matrix``).

A table for each format, plain and encrypted; a row for each maker and type of key, a column for each reader.
"ok" is a file whose public key came out as it went in; a letter is a hole that a line below explains.
"""
# ruff: noqa: T201 -- it is a command.

import string
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sshkit_keys import parse_private_key, parse_public_file

from tests.interop.key_formats_peers import PEERS, PRIVATE, PUBLIC, SECRET, TYPES, KeyPeer

TITLES = {
    "OpenSSH": "private, OpenSSH's own",
    "PEM": "private, PKCS#1 and SEC 1 in PEM",
    "PKCS8": "private, PKCS#8 in PEM",
    "DER": "private, PKCS#8 in DER",
    "PUTTY": "private, PuTTY's PPK of version 3",
    "PUTTY2": "private, PuTTY's PPK of version 2",
    "line": "public, a line",
    "RFC4716": "public, RFC 4716",
    "SPKI": "public, SubjectPublicKeyInfo in PEM",
    "PKCS1": "public, PKCS#1 in PEM",
}

NO_PADDING = "puttygen writes an EC number as long as it is, paramiko wants it as long as the curve"

LONG_PADDING = "puttygen adds 16 bytes of padding where none is due, and paramiko takes 15"


class Cell(NamedTuple):
    """One file, and one that reads it."""

    maker: KeyPeer
    form: str
    kind: str
    reader: KeyPeer
    sealed: bool

    @property
    def hole(self) -> str:
        """Why there is nothing to try, or ""."""
        if self.form == "PKCS1" and self.kind != "rsa":
            return "PKCS#1 holds RSA keys only"
        for peer in (self.maker, self.reader):
            if not peer.is_present:
                return f"{peer.name} is not installed"
        if self.unmade:
            return self.unmade
        pair = (self.maker.name, self.form, self.reader.name)
        if pair == ("puttygen", "PEM", "paramiko") and self.kind.startswith("ecdsa"):
            return NO_PADDING
        if pair == ("puttygen", "OpenSSH", "paramiko"):
            return LONG_PADDING
        return self.reader.unable(self.form, self.kind, True, self.sealed)

    @property
    def unmade(self) -> str:
        """Why the maker writes no such file, or ""."""
        return self.maker.unable(self.form, self.kind, False, self.sealed)

    def __str__(self) -> str:
        seal = "encrypted " if self.sealed else ""
        return f"{self.maker.name} -> {seal}{self.form} {self.kind} -> {self.reader.name}"


class Files:
    """The files of all makers, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peers = tuple(peer(folder) for peer in PEERS)
        self._made: dict[tuple[str, str, str, bool], tuple[Path, bytes]] = {}

    def get(self, maker: KeyPeer, form: str, kind: str, sealed: bool) -> tuple[Path, bytes]:
        """Return a file and the blob that it holds, as the maker's own plain file says."""
        name = (maker.name, form, kind, sealed)
        if name not in self._made:
            path = self.folder / f"file-{len(self._made)}"
            data = maker.write(kind, form, sealed)
            path.write_bytes(data)
            path.chmod(0o600)
            if form in PUBLIC:
                blob = parse_public_file(data).blob
            else:
                blob = parse_private_key(data, SECRET.encode()).public.blob
            self._made[name] = path, blob
        return self._made[name]

    def try_cell(self, cell: Cell) -> None:
        """Raise unless the reader finds the key that was written."""
        path, blob = self.get(cell.maker, cell.form, cell.kind, cell.sealed)
        assert cell.reader.read(path, cell.form, cell.sealed) == blob, "another key came out"

    def cells(self, form: str, sealed: bool) -> Iterator[Cell]:
        """Yield the cells of one table, row by row."""
        for maker in self.peers:
            for kind in TYPES:
                for reader in self.peers:
                    yield Cell(maker, form, kind, reader, sealed)


def tables() -> Iterator[tuple[str, bool]]:
    """Yield format and seal of each table."""
    for form in PRIVATE:
        yield from ((form, False), (form, True))
    yield from ((form, False) for form in PUBLIC)


def main() -> int:
    """Print all tables; the status is 1 if a cell is empty that nobody explains."""
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        heads = "".join(f"{peer.name:>17}" for peer in files.peers)
        for form, sealed in tables():
            notes: dict[str, str] = {}
            print(f"\n{TITLES[form]}{', encrypted' if sealed else ''}\n{'maker':16}{'type':10}{heads}")
            row: list[str] = []
            for cell in files.cells(form, sealed):
                row.append(shown(files, cell, notes, failures))
                if len(row) == len(files.peers):
                    print(f"{cell.maker.name:16}{cell.kind:10}" + "".join(f"{text:>17}" for text in row))
                    row = []
            for why, letter in notes.items():
                print(f"  {letter}: {why}")
    print("\n".join(["", *failures]) if failures else "\nevery hole is explained")
    return 1 if failures else 0


def shown(files: Files, cell: Cell, notes: dict[str, str], failures: list[str]) -> str:
    """Return what stands in a cell."""
    why = cell.hole
    if why:
        return notes.setdefault(why, string.ascii_lowercase[len(notes)])
    try:
        files.try_cell(cell)
    except Exception as error:
        failures.append(f"{cell}: {error}")
        return "FAILED"
    return "ok"


if __name__ == "__main__":
    sys.exit(main())
