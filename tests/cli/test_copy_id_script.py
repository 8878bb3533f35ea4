"""The script of sshkit-copy-id, run by the shells that are here."""

import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from sshkit_cli.copy_id_keys import KeyLine
from sshkit_cli.copy_id_script import install_script, read_report
from sshkit_keys import SSHKitError, generate_private_key

from tests.cli.user import PATIENCE

SHELLS = [
    shell
    for shell in ("sh", "dash", "bash", "busybox")
    if any(os.access(f"{folder}/{shell}", os.X_OK) for folder in ("/bin", "/usr/bin"))
]


def run_script(script: str, home: Path, shell: str = "sh") -> "subprocess.CompletedProcess[bytes]":
    command = ["busybox", "sh"] if shell == "busybox" else [shell]
    return subprocess.run(
        command,
        input=script.encode(),
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        cwd="/",
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LOGNAME": "x"},
    )


def key_line(comment: str = 'it\'s $HOME `id` "q" \\ *') -> KeyLine:
    public = generate_private_key("ed25519").public
    return KeyLine(public.to_line(), comment, public)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_makes_the_file_and_appends_each_key_once(shell: str, home: Path) -> None:
    keys = [key_line(), key_line()]
    done = run_script(install_script(keys), home, shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert read_report(done.stdout) == (2, b"")
    file = home / ".ssh" / "authorized_keys"
    assert file.read_text() == f"{keys[0]}\n{keys[1]}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    third = key_line("")
    done = run_script(install_script([*keys, third, third]), home, shell)
    assert read_report(done.stdout) == (1, b"")
    assert file.read_text() == f"{keys[0]}\n{keys[1]}\n{third}\n"


def test_the_script_adds_a_missing_last_newline_and_knows_a_key_by_another_comment(home: Path) -> None:
    file = home / ".ssh" / "authorized_keys"
    file.parent.mkdir()
    limited, known, new = key_line("a"), key_line("b"), key_line("c")
    file.write_text(f'command="x" {limited}\n# {new}\n{known.name} another comment')
    done = run_script(install_script([limited, known, new]), home)
    assert read_report(done.stdout) == (2, b"")
    assert file.read_text() == (
        f'command="x" {limited}\n# {new}\n{known.name} another comment\n{limited}\n{new}\n'
    )


@pytest.mark.parametrize("target", ["keys", "a b/c'd/$HOME", "-rf", "/{home}/abs"])
def test_the_script_writes_where_it_is_told(target: str, home: Path) -> None:
    target = target.replace("/{home}", str(home))
    key = key_line()
    done = run_script(install_script([key], target), home)
    assert read_report(done.stdout) == (1, b""), done
    assert (home / target).read_text() == f"{key}\n"


def test_a_script_that_was_cut_does_nothing(home: Path) -> None:
    script = install_script([key_line()])
    for size in (len(script) // 2, len(script) - 20):
        done = run_script(script[:size], home)
        assert read_report(done.stdout)[0] is None
        assert list(home.iterdir()) == []


def test_a_script_that_cannot_write_reports_nothing(home: Path) -> None:
    (home / ".ssh").write_text("in the way")
    done = run_script(install_script([key_line()]), home)
    assert done.returncode == 1
    assert read_report(done.stdout)[0] is None


def test_restorecon_is_called_where_it_is(home: Path) -> None:
    tools = home / "tools"
    tools.mkdir()
    (tools / "restorecon").write_text('#!/bin/sh\necho "context: $*"\n')
    (tools / "restorecon").chmod(0o755)
    script = f"PATH={shlex.quote(str(tools))}:$PATH\n{install_script([key_line()])}"
    done = run_script(script, home)
    assert read_report(done.stdout) == (1, b"context: -F .ssh/ .ssh/authorized_keys\n")


def test_what_is_not_one_line_is_not_sent() -> None:
    with pytest.raises(SSHKitError, match="it holds a control character"):
        install_script([KeyLine("ssh-ed25519 AAAA", "a\ncommand=x", None)])
    for target in ("", "a\nb", "a\x1b"):
        with pytest.raises(SSHKitError, match="target path"):
            install_script([key_line()], target)


def test_only_the_last_report_counts() -> None:
    assert read_report(b"hello\nsshkit-copy-id: added 9\nsshkit-copy-id: added 1\nbye\n") == (
        1,
        b"hello\nsshkit-copy-id: added 9\nbye\n",
    )
    assert read_report(b"sshkit-copy-id: added many\n")[0] is None
    assert install_script([], debug=True).startswith("{\nset -x\n")
