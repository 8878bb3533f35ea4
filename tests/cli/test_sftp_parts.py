"""The parts of sshkit-sftp and sshkit-scp alone: words, options, names, the progress line, limits, lines."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import scp_legacy
from sshkit_cli.log import Log
from sshkit_cli.scp_options import parse as parse_scp
from sshkit_cli.sftp_listing import columns, df, scaled, terminal_width
from sshkit_cli.sftp_listing_remote import form_of
from sshkit_cli.sftp_local import is_wild, local_glob
from sshkit_cli.sftp_meter import Meter
from sshkit_cli.sftp_options import OptionError, Place, UsageError, parse, place_of
from sshkit_cli.sftp_pipes import Limiter, Program, Throttled, words_of
from sshkit_cli.sftp_remote import TooManyMatches, base_name, braces, strip
from sshkit_cli.sftp_run import Lines, is_silent
from sshkit_cli.sftp_words import LineError, escape, plain, split

from sshkit.deferred import Deferred
from sshkit.reactor.engines.native import NativeReactor
from sshkit.sftp.client_requests import StatVFS
from sshkit.testing.clock import MemoryClock


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("get a b", ["get", "a", "b"]),
        ("  get\t'a b' \"c d\"", ["get", "a b", "c d"]),
        ("a\\ b", ["a b"]),
        ("a'b'\"c\"d", ["abcd"]),
        ("'it\\'s'", ["it's"]),
        ("'a\\b'", ["a\\b"]),
        ("'a\\*'", ["a\\\\\\*"]),
        ("'*'", ["\\*"]),
        ("\\* \\\\ \\[x", ["\\*", "\\\\", "\\[x"]),
        ("*.c", ["*.c"]),
        ("a # b", ["a"]),
        ("'a # b'", ["a # b"]),
        ('"a\'b"', ["a'b"]),
        ("''", [""]),
        ("a\\", ["a"]),
        ("", []),
    ],
)
def test_a_line_is_split_as_openssh_splits_it(line: str, words: list[str]) -> None:
    assert split(line).words == words


def test_a_line_that_cannot_be_is_refused() -> None:
    for line in ("'open", '"open', "x" * 9000, "a " * 200):
        with pytest.raises(LineError):
            split(line)


def test_an_open_quote_is_known_while_one_types() -> None:
    found = split("get 'a b", unfinished=True)
    assert (found.words, found.quote, found.open) == (["get", "a b"], "'", True)
    assert not split("get 'a b'", unfinished=True).open


def test_a_name_is_escaped_so_that_it_is_read_again() -> None:
    for name in ("a b", "it's", 'a"b', "a\\b", "a#b", "a*b[c]?", "tab\tx"):
        assert plain(split(escape(name)).words[0]) == name
    assert escape("it's", "'") == "it\\'s"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("h:a", Place("h", None, None, "a")),
        ("h:", Place("h", None, None, None)),
        ("u@h:a:b", Place("h", "u", None, "a:b")),
        ("u@[::1]:a", Place("::1", "u", None, "a")),
        ("[::1]:a", Place("::1", None, None, "a")),
        ("u@x@h:a", Place("h", "u@x", None, "a")),
        ("./h:a", None),
        ("/h:a", None),
        (":a", None),
        ("a", None),
        ("scp://h", Place("h")),
        ("scp://u@h:22/a%20b", Place("h", "u", 22, "a b")),
        ("scp://u;x=y@[::1]:22//a", Place("::1", "u", 22, "/a")),
    ],
)
def test_a_place_is_read_as_scp_reads_it(text: str, place: Place | None) -> None:
    assert place_of(text, "scp") == place


def test_a_place_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError):
        place_of("scp://:22/x", "scp")
    with pytest.raises(UsageError):
        place_of("u@:x", "scp")
    with pytest.raises(OptionError):
        place_of("scp://h:99999/x", "scp")
    assert place_of("host", "sftp", bare=True) == Place("host")


def test_the_options_of_sftp_are_read() -> None:
    switches = ["-46AaCfNpqrvv", "-B", "1K", "-c", "aes", "-F", "f", "-i", "i", "-J", "j", "-l", "5"]
    others = ["-o", "X=y", "-P", "3", "-R", "7", "-S", "s", "-s", "sub", "-X", "buffer=2k", "u@h:p", "t"]
    typed = parse([*switches, *others])
    assert typed.place == Place("h", "u", None, "p")
    assert (typed.port, typed.target, typed.server, typed.ssh, typed.limit) == (3, "t", "sub", "s", 5)
    assert (typed.buffer, typed.verbosity) == (2048, 2)
    assert all((typed.resume, typed.sync, typed.preserve, typed.recursive, typed.quiet, typed.loud))
    assert "-v" in typed.client
    assert "-J" in typed.client
    assert parse(["-P", "3", "sftp://h:4/x"]).port == 4
    assert "-oBatchMode=yes" in parse(["-b", "-", "h"]).client
    assert parse(["--", "-h"]).place == Place("-h")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b", "c"],
        ["-Z"],
        ["-B"],
        ["-b", "-", "-b", "-", "h"],
        ["-B", "0", "h"],
        ["-B", "x", "h"],
        ["-R", "x", "h"],
        ["-l", "0", "h"],
        ["-P", "x", "h"],
        ["-X", "x=1", "h"],
        ["-D", " "],
    ],
)
def test_options_that_cannot_be_are_refused(arguments: list[str]) -> None:
    with pytest.raises((UsageError, OptionError)):
        parse(arguments)


def test_the_options_of_scp_are_read() -> None:
    typed = parse_scp(["-3O46ABCTpqrv", "-l", "8", "-P", "5", "-o", "A=b", "-X", "buffer=1M", "a", "h:b"])
    assert all((typed.legacy, typed.unchecked, typed.recursive, typed.preserve, typed.quiet))
    assert (typed.limit, typed.port, typed.buffer) == (8, 5, 1 << 20)
    assert not parse_scp(["-O", "-s", "a", "b"]).legacy
    assert parse_scp(["-R", "a:b", "c:d"]).direct_copy
    assert not parse_scp(["-R", "-3", "a:b", "c:d"]).direct_copy
    assert parse_scp(["-t", "x"]).far == "-t"


def test_braces_are_expanded_as_in_the_shell() -> None:
    assert braces("a{b,c}d{e,f}") == ["abde", "abdf", "acde", "acdf"]
    assert braces("a{b,{c,d}}") == ["ab", "ac", "ad"]
    assert braces("a{b") == ["a{b"]
    assert braces("a\\{b,c}") == ["a\\{b,c}"]
    assert braces("a{}b") == ["a{}b"]
    with pytest.raises(TooManyMatches):
        braces("{a,b}" * 20)


def test_r35_only_names_that_were_asked_for_are_wanted() -> None:
    for path in ("", ".", "a/..", "~", "~user"):
        assert scp_legacy.wanted(path) is None
    for path, name, good in (
        ("dir/a.txt", b"a.txt", True),
        ("dir/a.txt", b"b.txt", False),
        ("*.txt", b"a.txt", True),
        ("*.txt", b"a.txt.exe", False),
        ("{a,b}.c", b"b.c", True),
        ("~/x", b"x", True),
        ("dir/", b"dir", True),
        ("a\\ b", b"a b", True),
    ):
        wanted = scp_legacy.wanted(path)
        assert wanted is not None
        assert wanted(name) == good, (path, name)


def test_names_are_taken_apart() -> None:
    assert [base_name(path) for path in ("a/b/", "/", "", "a")] == ["b", "/", ".", "a"]
    assert [strip("/x/y", folder) for folder in (None, "/x", "/", "/z")] == ["/x/y", "y", "x/y", "/x/y"]


def test_local_wildcards_fit_as_in_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a1", "a2", ".a", "b*"):
        (tmp_path / name).touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a3").touch()
    assert local_glob("a*") == ["a1", "a2"]
    assert local_glob("*/a?") == ["d/a3"]
    assert local_glob(f"{tmp_path}/.a*") == [f"{tmp_path}/.a"]
    assert local_glob("b\\*") == ["b*"]
    assert local_glob("nothing*") == ["nothing*"]
    assert local_glob("a1//") == ["a1"]
    assert not is_wild("a\\*")
    assert is_wild("a[b]")


def test_sizes_are_scaled_as_openssh_scales_them() -> None:
    sizes = {0: "0B", 1023: "1023B", 1024: "1.0K", 4096: "4.0K", 150_000: "147K", 1 << 30: "1.0G"}
    assert {size: scaled(size) for size in sizes} == sizes
    assert scaled(2047 * 1024) == "2.0M"


def test_df_of_a_file_system_without_size_says_so() -> None:
    empty = StatVFS(0, 512, *[0] * 9)
    assert df(empty, human=False, inodes=False).endswith("ERR\n")
    assert df(empty, human=True, inodes=False).endswith("ERR\n")


def test_columns_fill_the_width() -> None:
    assert columns(["a", "b", "c"], 1, 6) == "a  b  \nc  \n"
    assert columns([], 0, 80) == ""
    read, write = os.pipe()
    assert terminal_width(read) == 80
    os.close(read)
    os.close(write)


def test_later_flags_of_ls_count() -> None:
    assert form_of("l1").short
    assert form_of("1l").long
    assert form_of("tS").by == "size"
    form = form_of("lahnrf")
    assert all((form.all, form.human, form.numeric, form.reverse))
    assert not form.by


class Written(Log):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def _write(self, text: str, fd: int | None = None) -> None:
        self.text += text


def test_the_progress_line_tells_share_rate_and_time() -> None:
    clock, log = MemoryClock(), Written()
    meter = Meter(clock, log)
    meter.start("name\x1b", 4 << 20)
    meter.at(1 << 20)
    clock.advance(1.0)
    assert "name\\x1b" in log.text
    assert " 25%" in log.text
    assert "1.0MB/s   00:03 ETA" in log.text
    clock.advance(10.0)
    assert "- stalled -" in log.text
    meter.name("other")
    meter.at(4 << 20, 4 << 20)
    clock.advance(4000.0)
    meter.stop()
    assert log.text.endswith("\n")
    assert "1:06:51" in log.text
    meter.stop()
    meter.start("again", 0)
    meter.start("and again", 10)
    clock.advance(1.0)
    meter.stop()


def test_no_line_is_drawn_where_none_is_wanted() -> None:
    log = Written()
    for meter in (Meter(MemoryClock(), log, enabled=False), Meter(MemoryClock(), log, possible=False)):
        meter.start("name", 5)
        meter.at(3)
        meter.stop()
    assert log.text == ""


class Ends:
    """Both what a Throttled stands before and what stands behind it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append(name)


def test_a_limit_stops_both_directions_and_lets_them_go_on() -> None:
    clock = MemoryClock()
    inner, transport = Ends(), Ends()
    throttled = Throttled(inner, Limiter(clock, 8000), clock)
    throttled.connection_made(transport)
    throttled.write(b"x" * 1000)
    assert inner.calls[-1] == "pause_writing"
    throttled.pause_writing()
    throttled.resume_writing()
    throttled.pause_writing()
    clock.advance(1.1)
    assert inner.calls[-1] == "pause_writing"
    throttled.resume_writing()
    assert inner.calls[-1] == "resume_writing"
    throttled.data_received(memoryview(b"x" * 1000))
    assert transport.calls[-1] == "pause_reading"
    clock.advance(1.1)
    assert transport.calls[-1] == "resume_reading"
    throttled.write(b"x" * 1000)
    clock.advance(1.1)
    assert inner.calls[-1] == "resume_writing"
    throttled.channel_opened(transport, b"")  # type: ignore[arg-type]
    throttled.extended_data_received(1, memoryview(b""))
    throttled.eof_received()
    throttled.channel_closed(None)
    throttled.connection_lost(None)
    assert inner.calls[-5:] == [
        "channel_opened",
        "extended_data_received",
        "eof_received",
        "channel_closed",
        "connection_lost",
    ]
    throttled.close()
    assert transport.calls[-1] == "close"


def test_a_program_passes_everything_on() -> None:
    inner, process, log = Ends(), Ends(), Written()
    program = Program(inner, log)
    program.close()
    program.process_started(process)
    program.output_received(1, b"data")
    program.output_received(2, b"words\n")
    program.output_closed(2)
    program.pause_writing()
    program.resume_writing()
    program.write(b"x")
    program.write_eof()
    program.pause_reading()
    program.resume_reading()
    program.process_exited(0)
    assert not program.ended.called
    program.output_closed(1)
    assert program.ended.called
    program.resume_reading()
    program.close()
    assert log.text == "words\n"
    assert inner.calls == [
        *("connection_made", "data_received"),
        *("pause_writing", "resume_writing", "eof_received", "connection_lost"),
    ]
    assert process.calls == ["write", "write_eof", "pause_reading", "resume_reading", "close", "close"]
    assert words_of("~/x 'a b'") == [os.path.expanduser("~/x"), "a b"]


def test_both_halves_of_a_bridge_pass_on_what_came_early_and_late() -> None:
    one, two = scp_legacy.bridge(Written())  # type: ignore[arg-type]
    left, right = Ends(), Ends()
    one.pause_writing()
    one.resume_writing()
    one.eof_received()
    two.connection_made(right)
    two.data_received(memoryview(b"\0"))
    one.channel_opened(left, b"")  # type: ignore[arg-type]
    one.begin()
    two.data_received(memoryview(b"\0"))
    assert left.calls == ["write", "write"]
    one.pause_writing()
    one.resume_writing()
    assert right.calls == ["write", "pause_reading", "resume_reading"]
    assert not one.request_received("unknown", b"")
    one.extended_data_received(1, memoryview(b"words"))
    two.channel_closed(None)
    two.connection_lost(None)
    one.data_received(memoryview(b"dropped"))
    assert left.calls[-1] == "write_eof"
    assert two.closed.called


def lines_of(data: bytes) -> list[str | None]:
    reactor = NativeReactor()
    read, write = os.pipe()
    try:
        os.write(write, data)
        os.close(write)
        lines = Lines(reactor, read)
        found: list[str | None] = []
        while not found or found[-1] is not None:
            found.append(reactor.run_until(lines.next()))
        return found
    finally:
        os.close(read)
        reactor.close()


def test_lines_of_a_pipe_are_read_one_by_one() -> None:
    assert lines_of(b"one\ntwo\r\nlast") == ["one", "two\r", "last", None]
    assert lines_of(b"") == [None]


def test_who_gets_a_line_may_ask_for_the_next_one_at_once() -> None:
    reactor = NativeReactor()
    read, write = os.pipe()
    lines = Lines(reactor, read)
    found: list[str | None] = []
    done: Deferred[None] = Deferred()

    def take(line: str | None) -> None:
        found.append(line)
        if line is None:
            done.callback(None)
        else:
            lines.next().add_callback(take)

    lines.next().add_callback(take)  # nothing is there yet
    reactor.call_later(0, lambda: (os.write(write, b"pwd\n"), os.close(write)))
    reactor.run_until(done)
    assert found == ["pwd", None]
    os.close(read)
    reactor.close()


def test_a_closed_descriptor_has_no_lines() -> None:
    reactor = NativeReactor()
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    assert reactor.run_until(Lines(reactor, read).next()) is None
    reactor.close()
    null = os.open("/dev/null", os.O_RDONLY)
    reactor = NativeReactor()
    assert reactor.run_until(Lines(reactor, null).next()) is None
    reactor.close()
    os.close(null)


def test_an_at_sign_keeps_a_line_silent() -> None:
    assert [is_silent(line) for line in ("@ls", "-@ls", "@ -ls", "ls @", "-ls", "")] == [
        *(True, True, True),
        *(False, False, False),
    ]
