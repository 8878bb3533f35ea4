"""Keys made once for all tests of keys, and the real ssh-keygen."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_keys import PrivateKey, generate_private_key

KINDS = {
    "ed25519": ("ed25519", None),
    "ecdsa256": ("ecdsa", 256),
    "ecdsa384": ("ecdsa", 384),
    "ecdsa521": ("ecdsa", 521),
    "rsa": ("rsa", 2048),
}


@pytest.fixture(scope="session")
def keys() -> dict[str, PrivateKey]:
    """One private key of each kind."""
    return {
        name: generate_private_key(kind, bits, f"{name} at home")  # type: ignore[arg-type]
        for name, (kind, bits) in KINDS.items()
    }


@pytest.fixture(params=list(KINDS))
def key(request: pytest.FixtureRequest, keys: dict[str, PrivateKey]) -> PrivateKey:
    """Each private key in turn."""
    return keys[request.param]


@pytest.fixture
def ssh_keygen(tmp_path: Path) -> Callable[..., str]:
    """Run ssh-keygen in the test's folder; returns what it printed."""

    def run(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            ["ssh-keygen", *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    return run
