"""Keys for all interop tests, and the rule for peers that are absent."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.interop.peers import Keys


@pytest.fixture(scope="session")
def peer_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder: Path = tmp_path_factory.mktemp("peer-keys")
    folder.chmod(0o755)
    return Keys(folder)


def need(present: bool, name: str) -> Any:
    """Skip where a peer is absent; in CI that is a failure."""
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed; .ci/peers installs it")
        pytest.skip(f"{name} is not installed")
