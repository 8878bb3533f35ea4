"""The real sftp-servers, on a pipe each."""

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.client.sftp import open_sftp_program
from sshkit.sftp.client import SFTPClient
from tests.sftp.client.world import SERVERS

Run = Callable[[Callable[[SFTPClient], Awaitable[Any]]], Any]


def need(version: str) -> str:
    """Return the path of a real sftp-server; skip where it is absent, which is a failure in CI."""
    path = SERVERS[version]
    if shutil.which(path) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"sftp-server {version} is not installed")
        pytest.skip(f"sftp-server {version} is not installed")
    return path


def run_with(argv: list[str], main: Callable[[SFTPClient], Awaitable[Any]]) -> Any:
    """Run `main` with a client of the program."""

    async def body() -> Any:
        async with open_sftp_program(argv) as client:
            return await main(client)

    return sshkit.run(body())


@pytest.fixture(params=list(SERVERS))
def both(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Run a coroutine against each of the real servers, in the test's folder."""
    path = need(request.param)
    return lambda main: run_with([path, "-d", str(tmp_path)], main)


@pytest.fixture
def real(tmp_path: Path) -> Run:
    """Run a coroutine against sftp-server 9.2 in the test's folder."""
    path = need("9.2")
    return lambda main: run_with([path, "-d", str(tmp_path)], main)
