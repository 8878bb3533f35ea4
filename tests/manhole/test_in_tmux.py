"""The console looked at in tmux, as a person sees it: menu, traceback, await, paste, resize, wide characters.

With the local console, which needs no server.  SSHKIT_CAPTURES=1 writes what is seen to docs/captures, where
the manual's pages show it.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE = 30.0
CAPTURES = Path(__file__).resolve().parents[2] / "docs" / "captures"

HOST = os.uname().nodename

pytestmark = pytest.mark.peer("tmux")


class Tmux:
    """One window with a console in it."""

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._socket = str(folder / "tmux")
        (folder / "shop.py").write_text(
            "class Basket:\n    def __init__(self):\n        self.items = ['tea', 'jam']\n\n"
            "    def total(self, currency: str, *, rounded: bool = True) -> float:\n"
            '        """Add up the prices."""\n        return self.price("tea") + self.price("jam")\n\n'
            "    def price(self, item):\n        return {'tea': 4.2}[item]\n\n\nbasket = Basket()\n"
        )
        code = (
            "import sys; sys.path.insert(0, ''); sys.argv[0] = 'shop'\n"
            "from sshkit_cli.manhole import main\nsys.exit(main(['shop:basket']))\n"
        )
        (folder / "start.py").write_text(code)
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        environment.pop("TMUX", None)
        environment.pop("NO_COLOR", None)
        self._environment = environment
        self._columns = columns
        self._folder = folder
        size = ["-x", str(columns), "-y", str(rows)]
        command = f"cd {folder} && exec {sys.executable} start.py"
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, command)
        self.until("In [1]:")

    def _tmux(self, *argv: str, data: str | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", self._socket, *argv],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            env=self._environment,
            input=data,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def line(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)
        self.keys("Enter")

    def paste(self, text: str) -> None:
        self._tmux("load-buffer", "-", data=text)
        self._tmux("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def look(self, *options: str) -> str:
        return self._tmux("capture-pane", "-p", *options)

    def until(self, *words: str) -> str:
        """Look until all words are seen; return the whole screen."""
        end = time.monotonic() + PATIENCE
        while True:
            seen = self.look()
            if all(word in seen for word in words):
                return seen
            assert time.monotonic() < end, f"waited for {words}, saw\n{seen}"

    def keep(self, name: str) -> None:
        """Keep what is seen for the manual."""
        if os.environ.get("SSHKIT_CAPTURES") and self._columns == 80:
            CAPTURES.mkdir(exist_ok=True)
            text = self.look("-J").replace(str(self._folder), "/srv/shop").replace(HOST, "example")
            lines = [line.rstrip() for line in text.rstrip().split("\n")]
            (CAPTURES / f"{name}.txt").write_text("\n".join(lines) + "\n")

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False)


@pytest.fixture(params=[(80, 24), (200, 60)], ids=["80x24", "200x60"])
def tmux(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tmux]:
    window = Tmux(tmp_path, *request.param)
    yield window
    window.close()


def test_the_menu_of_completions_is_open_below_the_prompt(tmux: Tmux) -> None:
    tmux.keys("-l", "basket.")
    tmux.keys("Tab")
    seen = tmux.until("items", "price", "total")
    lines = seen.split("\n")
    prompt = next(number for number, line in enumerate(lines) if line.startswith("In [1]: basket."))
    assert "items" in lines[prompt + 1]
    tmux.keep("manhole-completion")
    tmux.keys("Tab")
    tmux.until("In [1]: basket.items")
    tmux.keys("Enter", "Enter")
    tmux.until("['tea', 'jam']", "In [2]:")


def test_a_signature_is_below_the_prompt_and_goes_with_it(tmux: Tmux) -> None:
    tmux.keys("-l", "basket.total(")
    seen = tmux.until("currency", "rounded", "Add up the prices")
    lines = seen.rstrip().split("\n")
    assert lines[-2].startswith("In [1]: basket.total(")
    tmux.keys("C-c")
    assert "rounded" not in tmux.until("In [1]: basket.total(\nIn [1]:")


def test_a_traceback_shows_the_lines_of_the_code(tmux: Tmux) -> None:
    tmux.line("basket.total('EUR')")
    seen = tmux.until("KeyError: 'jam'", "In [2]:")
    assert 'return self.price("tea") + self.price("jam")' in seen
    assert "sshkit" not in seen.partition("Traceback")[2]
    tmux.keep("manhole-traceback")


def test_await_works_at_the_prompt_and_ctrl_c_cancels_it_only(tmux: Tmux) -> None:
    tmux.line("import asyncio")
    tmux.line("await asyncio.sleep(0.2, result=basket.items)")
    tmux.until("['tea', 'jam']")
    tmux.line("print('waiting', 'now'); await asyncio.sleep(1000)")
    tmux.until("\nwaiting now")
    tmux.keys("C-c")
    tmux.until("KeyboardInterrupt", "In [4]:")
    tmux.line("len(_)")
    tmux.until("\n2\n", "In [5]:")
    tmux.keep("manhole-await")


def test_a_paste_of_many_lines_keeps_its_shape_and_waits_for_enter(tmux: Tmux) -> None:
    tmux.paste(
        "def twice(x):\n    y = x * 2\n\n    return y\n\nfor n in range(3):\n    print('got', twice(n))\n"
    )
    seen = tmux.until("print('got', twice(n))")
    assert "got 0" not in seen
    assert "   ...:     return y" in seen
    tmux.keys("Enter")
    tmux.until("got 0\ngot 2\ngot 4\nIn [2]:")


def test_wide_characters_and_long_lines_stand_where_they_belong(tmux: Tmux) -> None:
    tmux.keys("-l", "'日本語' + ' ü 👩'")
    tmux.keys("Left", "BSpace", "x")
    tmux.until("In [1]: '日本語' + ' ü x'")
    tmux.keys("Enter")
    tmux.until("'日本語 ü x'", "In [2]:")
    tmux.keys("-l", "len('" + "あ" * 110 + "')")
    tmux.until("あ')")
    tmux.keys("Home")
    tmux.keys("-l", "1 + ")
    tmux.keys("Enter")
    tmux.until("\n111\n", "In [3]:")


def test_a_resize_draws_the_prompt_anew(tmux: Tmux) -> None:
    tmux.keys("-l", "'before' +")
    tmux.until("In [1]: 'before' +")
    tmux.resize(50, 15)
    tmux.keys("-l", " ' and after'")
    tmux.until("In [1]: 'before' + ' and after'")
    tmux.resize(120, 40)
    tmux.keys("Enter")
    tmux.until("'before and after'", "In [2]:")


def test_what_a_program_prints_meanwhile_is_above_the_prompt(tmux: Tmux) -> None:
    tmux.line("import threading")
    tmux.line("threading.Timer(0.3, lambda: print('from', 'a thread')).start()")
    tmux.until("In [3]:")
    tmux.keys("-l", "'typed' + ")
    seen = tmux.until("from a thread", "In [3]: 'typed' +")
    assert seen.index("from a thread") < seen.index("In [3]: 'typed'")
    tmux.keys("-l", "' on'")
    tmux.keys("Enter")
    tmux.until("'typed on'")
