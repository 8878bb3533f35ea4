"""sshkit-copy-id at a real sshd and at sshkit-server, which let in afterwards; with a real agent."""

import contextlib
import getpass
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshkit_keys import PrivateKey, generate_private_key
from sshkit_keys.key_files import write_private_key

from tests.cli.test_copy_id import Copy, copy, make_key
from tests.cli.user import PATIENCE
from tests.peers import RealSshd
from tests.servers import OwnServer, Place

HOST = "127.0.0.1"
USER = getpass.getuser()
__all__ = ["copy"]  # the fixture


class Lab:
    """A server that reads two files of keys: one with the key that we have, one to install others in."""

    def __init__(self, port: int, folder: Path, key: Path, known_hosts: Path) -> None:
        self.port = port
        self.folder = folder
        self.target = folder / "installed" / "keys"
        self.known_hosts = known_hosts
        self.options = (
            *("-F", "none", "-p", str(port), "-o", f"UserKnownHostsFile={known_hosts}"),
            *("-o", "GlobalKnownHostsFile=none", "-o", f"IdentityFile={key}", "-t", str(self.target)),
        )

    def ssh(self, identity: Path, program: str = "ssh") -> "subprocess.CompletedProcess[bytes]":
        """Log in with the key of a file alone."""
        return subprocess.run(
            [
                *(program, "-F", "none", "-p", str(self.port), "-i", str(identity)),
                *("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "IdentitiesOnly=yes"),
                *("-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"),
                *(f"{USER}@{HOST}", "echo in"),
            ],
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("copy-sshd")
    files = f"AuthorizedKeysFile {folder}/authorized_keys {folder}/installed/keys"
    with RealSshd(folder, files) as server:
        yield Lab(server.port, folder, server.user_key_path, server.known_hosts)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("copy-own")
    place = Place(folder)
    files = f"AuthorizedKeysFile {place.authorized} {folder}/installed/keys"
    server = OwnServer(place, "-D", "-f", str(place.config(files, "PerSourcePenalties no")))
    known = folder / "known"
    host = (folder / "host.pub").read_text()
    known.write_text(f"[{HOST}]:{server.port} {host}")
    yield Lab(server.port, folder, folder / "id", known)
    assert server.stop() == 0


@pytest.fixture(params=[pytest.param("real", marks=pytest.mark.peer("sshd")), "own"])
def lab(request: pytest.FixtureRequest) -> Lab:
    lab: Lab = request.getfixturevalue(request.param)
    lab.target.unlink(missing_ok=True)
    return lab


@pytest.mark.peer("ssh")
def test_a_key_that_was_copied_lets_in(lab: Lab, copy: Copy, home: Path) -> None:
    key = make_key(home, "new", "it's new")
    path = home / "new"
    assert lab.ssh(path).returncode == 255
    dry = copy("-n", "-i", str(path), *lab.options, f"{USER}@{HOST}")
    assert dry.status == 0
    assert f"Would have added the following key(s):\n\n{key.public.to_line()}\n" in dry.out
    assert not lab.target.exists()
    outcome = copy("-i", str(path), *lab.options, f"{USER}@{HOST}")
    assert outcome.status == 0, outcome.err
    assert outcome.err == (
        f'sshkit-copy-id: INFO: Source of key(s) to be installed: "{path}.pub"\n'
        "sshkit-copy-id: INFO: attempting to log in with the new key(s), "
        "to filter out any that are already installed\n"
        "sshkit-copy-id: INFO: 1 key(s) remain to be installed -- "
        "if you are prompted now it is to install the new keys\n"
    )
    assert outcome.out.startswith(
        "\nNumber of key(s) added: 1\n\n"
        f'Now try logging into the machine, with: "sshkit-client -i {path} -F none -p {lab.port} '
    )
    assert outcome.out.endswith(
        f'{USER}@{HOST}"\nand check to make sure that only the key(s) you wanted were added.\n\n'
    )
    assert lab.target.read_text() == key.public.to_line() + "\n"
    assert lab.ssh(path).stdout == b"in\n"
    again = copy("-i", f"{path}.pub", *lab.options, f"{USER}@{HOST}")
    assert (again.status, again.out) == (0, "")
    assert "WARNING: All keys were skipped because they already exist on the remote system.\n" in again.err
    forced = copy("-f", "-x", "-i", str(path), *lab.options, HOST)
    assert "Number of key(s) added: 0\n" in forced.out
    assert f"{HOST}: + umask 077\n" in forced.err
    assert "WARNING: the keys are in the file already" in forced.err
    assert lab.target.read_text() == key.public.to_line() + "\n"


def test_the_newest_file_of_the_user_is_copied_with_all_its_keys(lab: Lab, copy: Copy, home: Path) -> None:
    folder = home / ".ssh"
    folder.mkdir()
    keys = [make_key(folder, f"id_{number}") for number in range(8)]
    (folder / "id_all.pub").write_text("".join(f"{key.public.to_line()}\n" for key in keys))
    os.utime(folder / "id_all.pub", (2e9, 2e9))
    (lab.target.parent).mkdir(exist_ok=True)
    lab.target.write_text(f"{keys[6].public.to_line()}\n{keys[2].public.to_line()}\n")
    lab.target.chmod(0o600)
    outcome = copy(*lab.options, HOST)
    assert outcome.status == 0, outcome.err
    assert "INFO: 6 key(s) remain to be installed" in outcome.err
    assert "Number of key(s) added: 6\n" in outcome.out
    assert " -i " not in outcome.out
    assert len(lab.target.read_text().splitlines()) == 8
    assert "All keys were skipped" in copy("-i", "", *lab.options, HOST).err


@contextlib.contextmanager
def agent(home: Path, *keys: PrivateKey) -> Iterator[str]:
    """Run an agent with keys."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = f"{folder}/agent"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
        try:
            while not os.path.exists(path):
                assert process.poll() is None
                os.sched_yield()
            environment = {**os.environ, "SSH_AUTH_SOCK": path}
            for number, key in enumerate(keys):
                file = home / f"agent{number}"
                write_private_key(file, key.to_openssh(random_bytes=os.urandom))
                subprocess.run(["ssh-add", "-q", str(file)], env=environment, check=True, capture_output=True)
            yield path
        finally:
            process.terminate()
            process.wait(PATIENCE)


@pytest.mark.peer("ssh-agent")
def test_the_keys_of_the_agent_are_copied(
    lab: Lab, copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [generate_private_key("ed25519", None, "first"), generate_private_key("ecdsa", 256, "second")]
    with agent(home, *keys) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        outcome = copy(*lab.options, HOST)
    assert "Number of key(s) added: 2\n" in outcome.out, outcome.err
    assert lab.target.read_text() == "".join(f"{key.public.to_line()}\n" for key in keys)
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nosuch")
    outcome = copy(*lab.options, HOST)
    assert outcome.status == 1
    assert "WARNING: no agent to talk to" in outcome.err
    assert "ERROR: No identities found" in outcome.err
