"""Our client and our server speak every version with each other."""

from pathlib import Path

import pytest

from sshkit.sftp.client import SFTPClient
from tests.sftp.versions.ends import VERSIONS, below, everything, run


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_is_done_in_every_version(version: int, tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        assert client.version == version
        await everything(client, tmp_path, own=True)

    run(main, below(tmp_path), (version,))


@pytest.mark.parametrize("highest", VERSIONS)
def test_the_highest_version_that_both_have_is_spoken(highest: int, tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> tuple[int, str]:
        return client.version, await client.realpath(".")

    assert run(main, below(tmp_path), VERSIONS, highest) == (highest, str(tmp_path))
    assert run(main, below(tmp_path), (3, highest), 6) == (highest, str(tmp_path))
    assert run(main, below(tmp_path), (3,), highest) == (3, str(tmp_path))
