"""sshkit-keyscan beside ssh-keyscan, at real servers; and ssh with what it has found."""

import getpass
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshkit_cli.keyscan import main
from sshkit_keys import generate_private_key
from sshkit_keys.key_files import write_private_key

from tests.cli.user import PATIENCE
from tests.interop.conftest import need
from tests.interop.peers import BACKPORTS, SERVERS, Keys, ServerPeer
from tests.peers import RealSshd
from tests.servers import OwnServer, Place

HOST = "127.0.0.1"
SCANNERS = {"9.2": shutil.which("ssh-keyscan"), "10.0": str(BACKPORTS / "usr" / "bin" / "ssh-keyscan")}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    folder.chmod(0o755)
    return Keys(folder)


def theirs(scanner: str, *argv: str) -> list[str]:
    """Return the keys that ssh-keyscan prints, without comments."""
    program = SCANNERS[scanner]
    need(program is not None and Path(program).is_file(), f"ssh-keyscan {scanner}")
    done = subprocess.run(
        [str(program), *argv], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return sorted(line for line in done.stdout.splitlines() if not line.startswith(("#", ";")))


def ours(capfd: pytest.CaptureFixture[str], *argv: str) -> list[str]:
    capfd.readouterr()
    assert main(["-q", *argv]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return sorted(out.splitlines())


def all_have_left(port: int) -> None:
    """Wait until a server has done with all connections: dropbear has room for few that are not logged in."""
    end = time.monotonic() + PATIENCE
    while True:
        fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        states = {state for _, local, _, state, *_ in fields if int(local[-4:], 16) == port}
        if states <= {"0A", "06"}:  # LISTEN and TIME_WAIT
            return
        assert time.monotonic() < end, states
        time.sleep(0.005)


@pytest.mark.peer("ssh-keyscan")
@pytest.mark.parametrize("scanner", SCANNERS)
@pytest.mark.parametrize("peer", SERVERS, ids=lambda peer: peer.name)
def test_the_lines_are_those_of_ssh_keyscan(
    peer: ServerPeer, scanner: str, keys: Keys, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    need(peer.executable is not None, peer.name)
    with peer.running(keys) as port:
        for argv in ([HOST], ["-t", "rsa,ed25519", f"{HOST} a,b"], ["-D", HOST], ["-t", "ecdsa", HOST]):
            all_have_left(port)
            found = ours(capfd, "-p", str(port), *argv)
            all_have_left(port)
            assert found == theirs(scanner, "-p", str(port), *argv)
            assert found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    place = Place(tmp_path_factory.mktemp("own"))
    lines = []
    for kind, bits in (("rsa", 2048), ("ecdsa", 521)):
        path = place.folder / kind
        key = generate_private_key(kind, bits)  # type: ignore[arg-type]
        write_private_key(path, key.to_openssh(random_bytes=bytes))
        lines.append(f"HostKey {path}")
    server = OwnServer(place, "-D", "-f", str(place.config(*lines)))
    yield server
    assert server.stop() == 0


@pytest.mark.peer("ssh-keyscan")
@pytest.mark.parametrize("scanner", SCANNERS)
def test_sshkit_server_shows_both_the_same(
    own: OwnServer, scanner: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = ours(capfd, "-p", str(own.port), HOST)
    assert found == theirs(scanner, "-p", str(own.port), HOST)
    assert len(found) == 3


@pytest.mark.peer("sshd")
@pytest.mark.parametrize("flags", [(), ("-H",)])
def test_ssh_logs_in_with_the_file_that_was_printed(
    sshd: RealSshd, flags: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"{line}\n" for line in ours(capfd, *flags, "-p", str(sshd.port), HOST)))
    done = subprocess.run(
        [
            *("ssh", "-F", "none", "-p", str(sshd.port), "-i", str(sshd.user_key_path)),
            *("-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "IdentityAgent=none"),
            *(f"{getpass.getuser()}@{HOST}", "echo in"),
        ],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr
