"""Every key file that we write is read by all who can read it, and we read theirs."""

import pytest

from tests.interop.conftest import need
from tests.interop.key_formats import Cell, Files, tables
from tests.interop.key_formats_peers import NO_PEM, PEERS, PRIVATE, PUBLIC

#: What keeps us from a cell, and nothing else does.
OUR_HOLES = {NO_PEM, "sshkit reads DSA, and writes it in PKCS#8 and DER only", "PKCS#1 holds RSA keys only"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("keys"))


def our_cells(files: Files, peer: str) -> list[Cell]:
    """Return the cells in which we and a peer meet."""
    return [
        cell
        for form, sealed in tables()
        for cell in files.cells(form, sealed)
        if {cell.maker.name, cell.reader.name} == {peer, "sshkit"} and not cell.hole
    ]


@pytest.mark.parametrize("peer", [peer.name for peer in PEERS])
def test_every_key_file_goes_from_maker_to_reader(files: Files, peer: str) -> None:
    need(next(p.is_present for p in files.peers if p.name == peer), peer)
    failures = []
    cells = our_cells(files, peer)
    for cell in cells:
        try:
            files.try_cell(cell)
        except Exception as error:
            failures.append(f"{cell}: {error}")
    assert failures == []
    assert len(cells) > 10


def test_we_write_and_read_whatever_there_is(files: Files) -> None:
    """No hole of ours is explained by what we have not built."""
    for form, sealed in tables():
        for cell in files.cells(form, sealed):
            if cell.maker.name == cell.reader.name == "sshkit":
                assert cell.hole == "" or cell.hole in OUR_HOLES, cell


def test_the_matrix_holds_every_format() -> None:
    forms = {form for form, _ in tables()}
    assert forms == {*PRIVATE, *PUBLIC}
