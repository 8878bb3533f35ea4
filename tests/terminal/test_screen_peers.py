"""Our screen beside two others: pyte, for streams that both understand, and tmux, for real programs."""

import os
import pty
import re
import shlex
import subprocess
import uuid
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.terminal.screen import Screen

COLUMNS, ROWS = 12, 6
SMALL = st.integers(1, 14)
#: Left out is what pyte does unlike terminals: NEL, regions, inserting rows or characters, a wrap that waits,
#: wide characters at the right edge.
PIECES = st.one_of(
    st.builds(
        lambda row, column, text: f"\x1b[{row};{column}H{text}\r",
        st.integers(1, ROWS),
        st.integers(1, COLUMNS),
        st.text("abcXYZ ", min_size=1, max_size=9),
    ),
    st.sampled_from(["\r\n", "\r", "\b", "\t", "\x1bM", "\x1bD", "\x1b7", "\x1b8", "\x1bH", "\x1b[3g"]),
    st.builds(lambda times, final: f"\x1b[{times}{final}", SMALL, st.sampled_from("ABCDEFGPX")),
    st.builds(lambda row, column: f"\x1b[{row};{column}H", SMALL, SMALL),
    st.builds(lambda which, final: f"\x1b[{which}{final}", st.integers(0, 2), st.sampled_from("JK")),
)


def beside_pyte(stream: str) -> None:
    pyte = pytest.importorskip("pyte")
    ours, theirs = Screen(COLUMNS, ROWS), pyte.Screen(COLUMNS, ROWS)
    ours.feed(stream)
    pyte.Stream(theirs).feed(stream)
    assert ours.display == list(theirs.display)
    # pyte's cursor stands behind the last column where a terminal's waits in it.
    assert ours.cursor == (theirs.cursor.y, min(theirs.cursor.x, COLUMNS - 1))


@given(st.lists(st.text("abcé ", min_size=1, max_size=30) | st.sampled_from(["\r\n", "\r"]), max_size=12))
def test_text_wraps_and_scrolls_as_in_pyte(pieces: list[str]) -> None:
    beside_pyte("".join(pieces))


@given(st.lists(PIECES, max_size=20))
def test_moving_and_erasing_do_as_in_pyte(pieces: list[str]) -> None:
    beside_pyte("".join(pieces))


def record(command: list[str], folder: Path) -> bytes:
    """Return what a program writes to a terminal of 80 by 24, up to where it leaves the alternate screen."""
    environment = {
        **os.environ,
        "TERM": "xterm-256color",
        "LINES": "24",
        "COLUMNS": "80",
        "LC_ALL": "C.UTF-8",
    }
    ours, theirs = pty.openpty()
    subprocess.run(["stty", "rows", "24", "cols", "80"], stdin=theirs, check=True)
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, b" q")  # for less
    stream = b""
    try:
        while part := os.read(ours, 65536):
            stream += part
    except OSError:
        pass  # the program has ended
    os.close(ours)
    process.wait(30)
    return stream.partition(b"\x1b[?1049l")[0]


def in_tmux(stream: bytes, folder: Path, expected: str) -> str:
    """Return what tmux shows of a stream; it is asked until that is what is expected, or often enough."""
    (folder / "stream").write_bytes(stream)
    name = f"sshkit-{uuid.uuid4().hex}"
    tmux = ["tmux", "-L", name, "-f", "/dev/null"]
    script = f"stty -opost -echo; cat {shlex.quote(str(folder / 'stream'))}; exec tail -f /dev/null"
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24", script], check=True, timeout=30)
    try:
        for attempt in count():
            captured = subprocess.run(
                [*tmux, "capture-pane", "-p"], check=True, timeout=30, capture_output=True, text=True
            ).stdout
            shown = "\n".join(line.rstrip() for line in captured.split("\n")).rstrip("\n")
            if shown == expected or attempt == 300:
                return shown
    finally:
        subprocess.run([*tmux, "kill-server"], timeout=30, check=False)
    raise AssertionError


PROGRAMS = {
    "ls": ["ls", "--color=always", "-C", "/usr/bin", "-w", "80", "--ignore=[a-y]*"],
    "vim": [
        "vim",
        "-u",
        "NONE",
        "-c",
        "syntax on",
        "-c",
        "set number ruler",
        "-c",
        "vsplit",
        "-c",
        "redraw",
        "-c",
        "qa!",
    ],
    "less": ["less", "-X", "-E", "text.py"],
    "top": ["top", "-b", "-n", "1", "-w", "80"],
    "git": ["git", "--no-pager", "diff", "--no-index", "--color=always", "text.py", "other.py"],
}


@pytest.mark.peer("tmux")
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_real_programs_show_is_what_tmux_shows(name: str, tmp_path: Path) -> None:
    command = PROGRAMS[name]
    text = Path(__file__).read_text()
    (tmp_path / "text.py").write_text(text[:3000] + "字 é 😀 wide\n" * 5)
    (tmp_path / "other.py").write_text(text[200:3000].replace("import", "export"))
    if name == "vim":
        command = [*command, "text.py"]
    stream = record(command, tmp_path)
    # What the program asks the terminal is none of the screen's, and tmux answers into nothing.
    stream = re.sub(rb"\x1b\[>?[0-9]*c|\x1b\[[56]n|\x1bP.*?\x1b\\\\", b"", stream)
    screen = Screen(80, 24)
    screen.feed(stream)
    assert screen.text.strip()
    assert in_tmux(stream, tmp_path, screen.text) == screen.text
