"""fsspec's own suite for file systems, run on ours."""

from collections.abc import Callable

import pytest
from fsspec.tests import abstract

from sshkit.fsspec_plugin import SSHKitFileSystem


class Fixtures(abstract.AbstractFixtures):
    """What the suite asks of a file system beside itself."""

    @pytest.fixture
    def fs(self, request: pytest.FixtureRequest) -> SSHKitFileSystem:
        return request.getfixturevalue("session_fs")

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def fs_path(self, fs: SSHKitFileSystem) -> str:
        fs.makedirs("/suite", exist_ok=True)
        return "/suite"


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass
