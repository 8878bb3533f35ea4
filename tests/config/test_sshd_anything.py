"""Whatever a file holds, the reader of sshd_config ends with mistakes and with settings that can be shown."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sshkit.config import sshd_config
from sshkit.config.parser import Line, Place, parse_line
from sshkit.config.sshd_config import MatchFacts, read_server_config
from sshkit.config.sshd_keywords import KEYWORDS
from sshkit.config.sshd_options import ServerOptions
from sshkit.config.sshd_shown import shown_values

#: Pieces of values that some keyword understands, and some that none does.
_PIECES = """
yes no none any all 0 1 -1 22 4294967296 1h 1:2:3 * ! = : a=b 10.0.0.0/8 !::1 [::1]:22 user host address
localport invalid-user , publickey password,publickey crash:1 overflow:deny-all internal-sftp ' " \\ # /x ~
%u ef +ssh-rsa LANG,LC_* session=5m ::1/64 max-sources4:1 host:* rdomain version group
"""
PIECES = tuple(_PIECES.split())
ODD = ["\x1b", "\udc80", "\u202e", "\x7f", "\r", "\f", "\x00"]
VALUE = st.lists(st.sampled_from([*PIECES, *ODD]) | st.text(max_size=6), max_size=4).map(" ".join)
WORDS = st.sampled_from([*KEYWORDS, "match", "match", "Match", "protocol"])
LINES = st.lists(st.tuples(WORDS | st.text(max_size=5), VALUE).map(" ".join), max_size=12)


def check(options: ServerOptions) -> None:
    """Look at every value, as -T does."""
    for keyword, known in KEYWORDS.items():
        for text in shown_values(keyword, getattr(options, known.attribute).value):
            assert text.isprintable()
    assert all(error.place is not None for error in options.errors)


@given(LINES)
@example(["listenaddress \x1b", "channeltimeout \x1b=1"])
def test_r36_lines_of_the_command_line_become_settings_or_mistakes(lines: list[str]) -> None:
    check(read_server_config(None, lines, None))


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@given(lines=LINES)
def test_r36_any_file_becomes_settings_or_mistakes(patched: pytest.MonkeyPatch, lines: list[str]) -> None:
    def read(path: str) -> list[Line]:
        found = [parse_line(text, Place(path, number)) for number, text in enumerate(lines, 1)]
        return [line for line in found if line is not None]

    patched.setattr(sshd_config, "read_lines", read)
    options = read_server_config("/config", (), None)
    check(options)
    check(options.for_connection(MatchFacts()))
    check(options.for_connection(MatchFacts("user", "host", "10.1.2.3", "::1", 22, "", ("group",), True)))
