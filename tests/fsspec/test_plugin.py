"""The fsspec plug-in beside fsspec's own suite: URLs, facts, ranges, transactions, lost connections."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.callbacks import Callback
from fsspec.registry import _registry

from sshkit import fsspec_plugin
from sshkit.blocking import BlockingServer
from sshkit.fsspec_plugin import SSHKitFileSystem
from tests.sftp.client.world import contents

Served = tuple[BlockingServer, Path]


@pytest.fixture
def fs(session_fs: SSHKitFileSystem, served: Served) -> Any:
    root = served[1] / "work"
    root.mkdir()
    yield session_fs
    session_fs.rm("/work", recursive=True)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sshkit://user@host:22/a/b/", "/a/b"),
        ("sftp://host/a", "/a"),
        ("ssh://host", "/"),
        ("sshkit://host/~/x", "/~/x"),
        ("a", "/a"),
        ("/a b?c#d", "/a b?c#d"),
        ("", "/"),
    ],
)
def test_urls_lead_to_paths(url: str, path: str) -> None:
    assert SSHKitFileSystem._strip_protocol(url) == path
    assert SSHKitFileSystem._strip_protocol([url]) == [path]


def test_urls_say_where_to_connect() -> None:
    found = SSHKitFileSystem._get_kwargs_from_urls("sshkit://us%40er:pa%3Ass@host:2222/a")
    assert found == {"host": "host", "port": 2222, "username": "us@er", "password": "pa:ss"}
    assert SSHKitFileSystem._get_kwargs_from_urls("sshkit://[::1]/a") == {"host": "::1"}
    assert SSHKitFileSystem._get_kwargs_from_urls("/a") == {}


def test_a_url_is_opened_by_fsspec(options: dict[str, Any], served: Served) -> None:
    fsspec.register_implementation("sshkit", SSHKitFileSystem, clobber=True)
    (served[1] / "by url").write_text("text")
    keys = {name: options[name] for name in ("identities", "agent", "host_keys")}
    url = f"sshkit://me@127.0.0.1:{options['port']}/by url"
    with fsspec.open(url, "rt", **keys) as file:
        assert file.read() == "text"
    (served[1] / "by url").unlink()


def test_other_protocols_are_ours_when_asked_for() -> None:
    before = dict(_registry)
    try:
        fsspec_plugin.register()
        assert fsspec.get_filesystem_class("sftp") is SSHKitFileSystem
        assert fsspec.get_filesystem_class("ssh") is SSHKitFileSystem
        fsspec_plugin.register("mine")
        assert fsspec.get_filesystem_class("mine") is SSHKitFileSystem
    finally:
        _registry.clear()
        _registry.update(before)


def test_facts_are_those_of_the_files(fs: SSHKitFileSystem, served: Served) -> None:
    root = served[1] / "work"
    (root / "file").write_bytes(b"12345")
    os.utime(root / "file", (1, 1_000_000_000))
    (root / "folder").mkdir()
    (root / "link").symlink_to("file")
    (root / "to folder").symlink_to("folder")
    (root / "dangling").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    found = {entry["name"]: entry for entry in fs.ls("/work", detail=True)}
    kinds = {name.rpartition("/")[2]: entry["type"] for name, entry in found.items()}
    assert kinds == {
        "file": "file",
        "folder": "directory",
        "link": "file",
        "to folder": "directory",
        "dangling": "link",
        "pipe": "other",
    }
    assert found["/work/link"]["destination"] == "file"
    assert found["/work/file"] == fs.info("/work/file")
    assert fs.info("sshkit://host/work/file/")["size"] == 5
    assert fs.ls("/work/file", detail=False) == ["/work/file"]
    assert fs.ls("/work/file")[0]["name"] == "/work/file"
    assert fs.ls("/work", detail=False) == sorted(found)
    assert fs.modified("/work/file").year == 2001
    assert fs.isdir("/work/to folder")
    assert not fs.exists("/work/dangling")
    assert fs.lexists("/work/dangling")
    assert not fs.lexists("/work/none")
    with pytest.raises(FileNotFoundError):
        fs.ls("/work/none")
    assert fs.du("/work/folder") == 0
    assert "127.0.0.1" in fs.fsid


def test_a_directory_that_cannot_be_listed_is_an_error(
    fs: SSHKitFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> Any:
        raise PermissionError(13, "no")

    monkeypatch.setattr(fs.sftp, "scandir", refuse, raising=False)
    with pytest.raises(PermissionError):
        fs.ls("/work")


def test_a_home_directory_is_found(fs: SSHKitFileSystem, served: Served) -> None:
    (served[1] / "home" / "x").write_text("home")
    assert fs.cat_file("/~/x") == b"home"
    assert fs.ls("/~", detail=False) == ["/~/x"]
    fs.rm("/~/x")


def test_directories_and_names_change(fs: SSHKitFileSystem, served: Served) -> None:
    root = served[1] / "work"
    fs.mkdir("/work/a/b")
    fs.mkdir("/work/c", create_parents=False)
    with pytest.raises(FileExistsError):
        fs.mkdir("/work/c", create_parents=False)
    fs.rmdir("/work/c")
    fs.pipe_file("/work/file", b"x")
    fs.mv("/work/file", "/work/a")
    assert (root / "a" / "file").exists()
    fs.mv("/work/a", "/work/moved/a", recursive=True)
    assert (root / "moved" / "a" / "file").exists()
    fs.mv("/work/moved/a/file", "/work/moved/a/file")
    fs.mv("/work/moved/a/f*", "/work/glob")
    assert (root / "glob" / "file").exists() or (root / "glob").is_file()
    with pytest.raises(IsADirectoryError):
        fs.rm("/work/moved")
    with pytest.raises(PermissionError, match="root"):
        fs.rm("/", recursive=True)
    (root / "outside").mkdir()
    (root / "outside" / "precious").touch()
    (root / "moved" / "link").symlink_to("../outside")
    fs.rm("/work/moved", recursive=True)
    assert (root / "outside" / "precious").exists()
    fs.touch("/work/new")
    os.utime(root / "new", (1, 1))
    fs.touch("/work/new", truncate=False)
    assert (root / "new").stat().st_mtime > 1
    fs._rm("/work/new")


def test_files_know_their_size_and_take_every_mode(fs: SSHKitFileSystem, served: Served) -> None:
    root = served[1] / "work"
    with fs.open("/work/made/file", "wb", block_size=10) as file:
        file.write(b"0123456789")
    with fs.open("/work/made/file") as file:
        assert file.size == 10
        assert (file.path, file.fs) == ("/work/made/file", fs)
        assert file.seek(-3, 2) == 7
        assert file.read() == b"789"
    with fs.open("/work/made/file", "ab") as file:
        file.write(b"more")
    with fs.open("/work/made/file", "r+b") as file:
        assert isinstance(file, io.BufferedRandom)
        file.write(b"X")
    assert (root / "made" / "file").read_bytes() == b"X123456789more"
    with fs.open("/work/text", "w", encoding="utf-16") as file:
        file.write("ü")
    assert (root / "text").read_text("utf-16") == "ü"
    with fs.open("/work/f.gz", "wb", compression="infer") as file:
        file.write(b"packed")
    with fs.open("/work/f.gz", "rb", compression="infer") as file:
        assert file.read() == b"packed"


def test_ranges_are_read(fs: SSHKitFileSystem, served: Served) -> None:
    data = contents(700_000)
    (served[1] / "work" / "data").write_bytes(data)
    assert fs.cat_file("/work/data") == data
    assert fs.cat_file("/work/data", start=5, end=10) == data[5:10]
    assert fs.cat_file("/work/data", start=-5) == data[-5:]
    assert fs.cat_file("/work/data", end=-699_990) == data[:10]
    paths = ["/work/data"] * 3 + ["/work/none"]
    found = fs.cat_ranges(paths, [0, 10, 500_000, 0], [5, 600_000, 400_000, 1], on_error="return")
    assert found[:3] == [data[:5], data[10:600_000], b""]
    assert isinstance(found[3], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["/work/none"], 0, 5)
    with pytest.raises(ValueError, match="2 starts"):
        fs.cat_ranges(["/work/data"], [0, 1], 5)


def test_whole_files_go_through_the_engine_with_progress(
    fs: SSHKitFileSystem, served: Served, tmp_path: Path
) -> None:
    data = contents(900_000)
    (tmp_path / "source").write_bytes(data)
    callback = Callback()
    fs.put_file(tmp_path / "source", "/work/deep/er/file", callback=callback)
    assert (callback.size, callback.value) == (900_000, 900_000)
    with pytest.raises(FileExistsError):
        fs.put_file(tmp_path / "source", "/work/deep/er/file", mode="create")
    callback = Callback()
    fs.get_file("/work/deep/er/file", tmp_path / "new" / "file", callback=callback)
    assert callback.value == 900_000
    assert (tmp_path / "new" / "file").read_bytes() == data
    kept = io.BytesIO()
    fs.get_file("/work/deep/er/file", kept)
    assert kept.getvalue() == data
    fs.get_file("/work/deep", tmp_path / "folder")
    assert (tmp_path / "folder").is_dir()
    fs.put_file(tmp_path / "folder", "/work/folder")
    assert fs.isdir("/work/folder")


def test_a_transaction_gives_names_at_its_end(fs: SSHKitFileSystem, served: Served) -> None:
    root = served[1] / "work"
    with fs.transaction:
        with fs.open("/work/one", "wb") as file:
            file.write(b"one")
        assert not (root / "one").exists()
    assert (root / "one").read_bytes() == b"one"
    fs.start_transaction()
    with fs.open("/work/two", "wb") as file:
        file.write(b"two")
    with fs.open("/work/one", "ab") as file:
        file.write(b" more")
    fs.transaction.complete(commit=False)
    assert os.listdir(root) == ["one"]
    with fs.open("/work/plain", "wb") as file:
        file.commit()
        file.discard()
    assert (root / "plain").exists()


def test_a_lost_connection_is_made_again_and_a_copy_connects_itself(
    fs: SSHKitFileSystem, options: dict[str, Any]
) -> None:
    fs.pipe_file("/work/file", b"x")
    fs.close()
    assert fs.cat_file("/work/file") == b"x"
    fs.sftp.close()
    assert fs.cat_file("/work/file") == b"x"
    plain = {name: value for name, value in options.items() if name not in ("identities", "host_keys")}
    system = SSHKitFileSystem(**plain)
    again = pickle.loads(pickle.dumps(system))
    assert again == system
    system.close()
    assert SSHKitFileSystem("::1", skip_instance_cache=True).fsid == "sshkit_@::1:22"


def test_an_address_of_version_6_is_put_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def connect(destination: str, **options: Any) -> Any:
        seen.append(destination)
        raise ConnectionRefusedError

    monkeypatch.setattr(fsspec_plugin, "connect_blocking", connect)
    with pytest.raises(ConnectionRefusedError):
        SSHKitFileSystem("::1", skip_instance_cache=True).info("/")
    assert seen == ["[::1]"]
