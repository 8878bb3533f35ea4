"""sshkit-keygen keeps known_hosts as ssh-keygen does."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_keys import PublicKey, generate_private_key

Run = Callable[..., tuple[int, str, str]]
A = generate_private_key("ed25519").public
B = generate_private_key("ecdsa").public


def line(key: PublicKey) -> str:
    return key.to_line()


@pytest.fixture
def run(run_keygen: Run) -> Run:
    Path("kh").write_text(
        f"# c\nhost1,10.0.0.1 {line(A)} comment here\n*.wild {line(A)}\n[h2]:2222 {line(B)}\n"
        f"@revoked host1 {line(B)}\n@cert-authority *.ca {line(A)}\n"
    )
    return run_keygen


@pytest.mark.peer("ssh-keygen")
@pytest.mark.parametrize(
    "arguments",
    [
        ("-F", "host1"),
        ("-F", "HOST1"),
        ("-F", "x.wild"),
        ("-F", "x.ca"),
        ("-F", "[h2]:2222"),
        ("-F", "h2"),
        ("-l", "-F", "host1"),
        ("-l", "-v", "-F", "[h2]:2222"),
        ("-l", "-E", "md5", "-F", "x.wild"),
        ("-q", "-F", "host1"),
    ],
)
def test_hosts_are_found_as_the_real_tool_finds_them(run: Run, arguments: tuple[str, ...]) -> None:
    theirs = subprocess.run(
        ["ssh-keygen", *arguments, "-f", "kh"], capture_output=True, text=True, check=False
    )
    status, text, errors = run(*arguments, "-f", "kh")
    assert (status, text, errors) == (theirs.returncode, theirs.stdout, theirs.stderr)


def test_found_lines_are_shown_hashed_if_asked(run: Run) -> None:
    status, text, _ = run("-H", "-F", "host1", "-f", "kh")
    assert status == 0
    lines = text.splitlines()
    assert lines[1].startswith("|1|")
    assert lines[1].endswith("comment here")
    assert lines[3].startswith("@revoked host1 ")
    Path("hashed").write_text("".join(f"{row}\n" for row in lines if row.startswith("|")))
    assert run("-F", "host1", "-f", "hashed")[0] == 0


def test_a_host_is_removed_and_the_old_file_kept(run: Run) -> None:
    before = Path("kh").read_text()
    status, text, errors = run("-R", "host1", "-f", "kh")
    assert (status, errors) == (0, "")
    assert text == "# Host host1 found: line 2\nkh updated.\nOriginal contents retained as kh.old\n"
    assert Path("kh.old").read_text() == before
    assert Path("kh").read_text() == re.sub(r"(?m)^host1.*\n", "", before)
    assert run("-R", "host1", "-f", "kh") == (0, "", "Host host1 not found in kh\n")


def test_names_are_hashed(run: Run) -> None:
    status, text, errors = run("-H", "-f", "kh")
    assert status == 0
    assert text == "kh updated.\nOriginal contents retained as kh.old\n"
    assert errors == (
        "kh:3: ignoring host name with wildcard: *.wild\nkh:6: ignoring host name with wildcard: *.ca\n"
        "WARNING: kh.old contains unhashed entries\nDelete this file to ensure privacy of hostnames\n"
    )
    for name in ("host1", "10.0.0.1", "[h2]:2222", "x.wild"):
        assert run("-F", name, "-f", "kh")[0] == 0
    assert run("-H", "-f", "kh")[1] == ""


def test_the_users_own_file_is_meant_without_f(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "known_hosts").write_text(f"mine {line(A)}\n")
    assert run("-F", "mine")[0] == 0
    assert run("-R", "mine")[0] == 0
    assert run("-F", "mine")[0] == 1


def test_a_missing_file_is_an_error(run: Run) -> None:
    assert run("-F", "x", "-f", "none") == (255, "", "sshkit-keygen: none: no such file\n")
    assert run("-R", "x", "-f", "none")[0] == 255
    assert run("-H", "-f", "none")[0] == 255
