"""Real clients against the server: under a real sshd, and in ours."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import RealSshd
from tests.servers import USER, OwnServer, Place
from tests.sftp.server.peers import CLIENTS, NEW, SFTP_SERVER, Target, checked, own_command, run

pytestmark = pytest.mark.peer("sftp")


def under_sshd(folder: Path) -> Iterator[Target]:
    server = RealSshd(folder)
    text = server.config.read_text().replace("internal-sftp", f"{own_command(folder)} -l ERROR")
    server.config.write_text(text)
    with server:
        fingerprint = server.host_key.public.fingerprint()
        yield Target(server.port, server.user_key_path, server.known_hosts, fingerprint)


def in_ours(folder: Path) -> Iterator[Target]:
    place = Place(folder)
    config = place.config("Subsystem sftp internal-sftp -l INFO")
    server = OwnServer(place, "-D", "-e", "-f", str(config))
    host = (folder / "host.pub").read_text().split()
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {host[0]} {host[1]}\n")
    from sshkit_keys import load_private_key

    yield Target(server.port, folder / "id", known, load_private_key(folder / "host").public.fingerprint())
    assert server.stop() == 0, server.log
    assert "internal error" not in server.log


@pytest.fixture(scope="module", params=["sshd", "ours"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("server")
    yield from (under_sshd if request.param == "sshd" else in_ours)(folder)


@pytest.mark.parametrize("name", CLIENTS)
def test_files_go_up_and_come_down_unchanged(target: Target, tmp_path: Path, name: str) -> None:
    command, trip = CLIENTS[name]
    if "10.0" in name and not NEW.is_dir():
        pytest.skip("OpenSSH 10.0 is not here")
    if run("which", command).returncode:
        pytest.skip(f"{command} is not installed")
    (tmp_path / "far").mkdir()
    for size in (0, 1, 40_000, 3_000_000):
        source, remote, back = tmp_path / "source", tmp_path / "far" / f"file {size}", tmp_path / "back"
        if name == "curl":
            remote = tmp_path / "far" / f"file{size}"
        if name == "paramiko" and size < 40:
            continue
        source.write_bytes(os.urandom(size))
        trip(target, source, remote, back)
        assert remote.read_bytes() == source.read_bytes()
        if size or name != "curl":
            assert back.read_bytes() == source.read_bytes()


#: Every command of sftp that a server sees.
BATCH = """pwd
ls
ls -l
ls -la
mkdir made
cd made
lcd {local}
put source copy
put -p source kept
get copy back
-reget copy back
-put -a source copy
chmod 640 copy
chown {uid} copy
chgrp {gid} copy
ln copy hard
ln -s copy soft
symlink kept other
ls -l
ls -1
rename copy renamed
rename renamed hard
cp hard cp
df
df -h
df -i
rm cp
rm soft
rm other
rm kept
rm hard
rm renamed
cd ..
rmdir made
-rm none
-mkdir none/made
-get none
put -r tree
get -r tree again
rm tree/dir/*
rmdir tree/dir
rm tree/*
rmdir tree
ls -la
"""


def prepared(folder: Path) -> Path:
    (folder / "tree" / "dir").mkdir(parents=True)
    for name in ("source", "tree/a", "tree/dir/b", "tree/dir/c"):
        (folder / name).write_bytes(name.encode() * 1000)
    (folder / "far").mkdir()
    return folder


def normal(text: str) -> list[str]:
    """Return what a batch said, without what changes from run to run."""
    lines = []
    for line in text.splitlines():
        words = line.split()
        if line.startswith(("drwx", "-rw", "lrwx")):
            words = [words[0], *words[2:4], words[-1]]
        elif "%" in line:
            words = [words[-1]] if words else []
        lines.append(" ".join(words))
    return lines


@pytest.mark.parametrize("program", ["sftp", str(NEW / "sftp")])
def test_every_command_of_sftp_gives_what_openssh_gives(tmp_path: Path, program: str) -> None:
    if not os.path.exists(SFTP_SERVER) or run("which", program).returncode:
        pytest.skip("OpenSSH's sftp is not here")
    said, trees = [], []
    for number, server in enumerate((str(SFTP_SERVER), str(own_command(tmp_path)))):
        folder = prepared(tmp_path / str(number))
        batch = BATCH.format(local=folder, uid=os.getuid(), gid=os.getgid())
        done = run(program, "-D", f"{server} -d {folder / 'far'}", "-b", "-", input=batch)
        assert done.returncode == 0, done.stderr
        said.append((normal(done.stdout.replace(str(folder), "")), done.stderr.replace(str(folder), "")))
        trees.append(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))
    assert said[0] == said[1]
    assert trees[0] == trees[1]


NAMES = [b"new\nline", b"\xff\xfe invalid", b"n" * 255, b"\x1b[31mred", "ünïcode".encode(), b'quo"te']


def test_r36_names_of_all_bytes_survive_the_round_trip(tmp_path: Path) -> None:
    """asyncssh gives names as bytes."""
    import asyncio
    import subprocess

    import asyncssh

    server = str(own_command(tmp_path))
    folder = os.fsencode(tmp_path / "far")
    os.mkdir(folder)

    async def main() -> list[bytes]:
        with subprocess.Popen([server], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            return await asyncio.to_thread(talk, process.stdin, process.stdout)

    def talk(into: object, out: object) -> list[bytes]:
        from sshkit_keys import wire

        from sshkit.sftp import messages as m

        def ask(kind: int, body: bytes) -> bytes:
            into.write(m.frame(bytes([kind]) + body))  # type: ignore[attr-defined]
            into.flush()  # type: ignore[attr-defined]
            size = int.from_bytes(out.read(4), "big")  # type: ignore[attr-defined]
            return out.read(size)  # type: ignore[attr-defined, no-any-return]

        ask(m.INIT, b"\0\0\0\3")
        for name in NAMES:
            flags = wire.uint32(m.WRITE_FLAG | m.CREATE) + bytes(4)
            assert ask(m.OPEN, bytes(4) + wire.string(folder + b"/" + name) + flags)[0] == m.HANDLE
        handle = ask(m.OPENDIR, bytes(4) + wire.string(folder))[5:]
        found = m.unpack_names(memoryview(ask(m.READDIR, bytes(4) + handle)))
        into.close()  # type: ignore[attr-defined]
        return [name for name, _, _ in found]

    assert asyncssh.__version__
    assert sorted(asyncio.run(main())) == sorted([b".", b"..", *NAMES])
    assert sorted(os.listdir(folder)) == sorted(NAMES)


def test_a_sparse_file_of_5_gib_is_read_at_its_end(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(5 << 30)
        file.seek((5 << 30) - 3)
        file.write(b"end")
    (tmp_path / "part").write_bytes(b"")
    os.truncate(tmp_path / "part", (5 << 30) - 100_000)
    script = f'reget "{tmp_path / "big"}" "{tmp_path / "part"}"\nls -l "{tmp_path / "big"}"\n'
    out = checked("sftp", "-D", str(own_command(tmp_path)), "-b", "-", input=script)
    assert str(5 << 30) in out
    with (tmp_path / "part").open("rb") as file:
        file.seek(-3, os.SEEK_END)
        assert file.tell() == (5 << 30) - 3
        assert file.read() == b"end"


def test_ten_thousand_names_are_listed(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(10_000):
        (tmp_path / "many" / f"n{number}").touch()
    out = checked("sftp", "-D", str(own_command(tmp_path)), "-b", "-", input=f"ls -1 {tmp_path}/many\n")
    assert len(out.splitlines()) == 10_001


def test_the_log_of_our_server_has_the_transfers(tmp_path: Path) -> None:
    servers = in_ours(tmp_path)
    target = next(servers)
    (tmp_path / "source").write_bytes(b"x" * 1000)
    CLIENTS["sftp 9.2"][1](target, tmp_path / "source", tmp_path / "far", tmp_path / "back")
    server = servers.gi_frame.f_locals["server"]  # type: ignore[attr-defined]
    assert f'open "{tmp_path}/far" flags WRITE,CREATE,TRUNCATE mode 0644' in server.log
    assert f'close "{tmp_path}/far" bytes read 0 written 1000' in server.log
    assert f"sftp of '{USER}': " in server.log
    for _ in servers:
        pass


@pytest.mark.parametrize(
    ("line", "batch", "status", "text"),
    [
        ("Subsystem sftp internal-sftp -R", "put {0}/source {0}/new", 1, "Permission denied"),
        ("Subsystem sftp internal-sftp -P stat,lstat", "get {0}/source {0}/new", 1, "not found"),
        ("Subsystem sftp internal-sftp -d /tmp", "pwd", 0, "Remote working directory: /tmp"),
        (
            "Subsystem sftp internal-sftp",
            "pwd",
            0,
            f"Remote working directory: {pwd.getpwuid(os.getuid()).pw_dir}",
        ),
        ("ForceCommand internal-sftp\nSubsystem sftp /bin/false", "pwd", 0, "Remote working directory: "),
        ("Subsystem sftp internal-sftp -Z", "pwd", 255, ""),
        ("Subsystem sftp internal-sftp -P nothing", "pwd", 255, ""),
        ('Subsystem sftp "internal-sftp \'open"', "pwd", 255, ""),
    ],
)
def test_internal_sftp_has_the_options_of_sftp_server(
    tmp_path: Path, line: str, batch: str, status: int, text: str
) -> None:
    place = Place(tmp_path)
    server = OwnServer(place, "-D", "-e", "-f", str(place.config(line)))
    (tmp_path / "source").write_bytes(b"x")
    command = server.ssh_command()
    settings = command[1 : command.index("-p")]
    done = run(
        "sftp",
        *settings,
        "-P",
        str(server.port),
        "-b",
        "-",
        f"{USER}@127.0.0.1",
        input=batch.format(tmp_path),
    )
    assert done.returncode == status, (done.stdout, done.stderr, server.log)
    assert text in done.stdout + done.stderr
    assert not (tmp_path / "new").exists()
    if status == 255:
        server.wait_for("refused: ")
    assert server.stop() == 0
