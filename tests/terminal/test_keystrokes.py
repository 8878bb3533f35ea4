"""What a terminal sends, as keys: every spelling, chopped anyhow; answers that never become typed text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.terminal.keystrokes import MAX_ANSWER, MAX_PASTE, MAX_SEQUENCE, Key, KeyDecoder

NAMED = {
    # characters and controls
    "a": "a",
    "é": "é",
    "字": "字",
    " ": "space",
    "\x00": "ctrl-space",
    "\x01": "ctrl-a",
    "\x08": "ctrl-h",
    "\t": "tab",
    "\n": "ctrl-j",
    "\r": "enter",
    "\x1c": "ctrl-\\",
    "\x1f": "ctrl-_",
    "\x7f": "backspace",
    # alt
    "\x1bf": "alt-f",
    "\x1bF": "alt-F",
    "\x1b\x06": "ctrl-alt-f",
    "\x1b\x7f": "alt-backspace",
    "\x1b\r": "alt-enter",
    "\x1b\x00": "ctrl-alt-space",
    "\x1b^": "alt-^",
    # arrows and functions of xterm
    "\x1b[A": "up",
    "\x9bA": "up",
    "\x1bOB": "down",
    "\x8fB": "down",
    "\x1b[1;5C": "ctrl-right",
    "\x1b[1;2D": "shift-left",
    "\x1b[1;8D": "ctrl-alt-shift-left",
    "\x1b[1;33D": "meta-left",
    "\x1b[1;65D": "left",
    "\x1b[H": "home",
    "\x1bOF": "end",
    "\x1b[E": "begin",
    "\x1bOP": "f1",
    "\x1b[1;2P": "shift-f1",
    "\x1bO5P": "ctrl-f1",
    "\x1bO1;5P": "ctrl-f1",
    "\x1b[1;2R": "shift-f3",
    "\x1b[15~": "f5",
    "\x1b[24;5~": "ctrl-f12",
    "\x1b[Z": "shift-tab",
    "\x1bOM": "enter",
    "\x1bOI": "tab",
    "\x1bOk": "+",
    "\x1bO2p": "shift-0",
    # the VT220
    "\x1b[1~": "home",
    "\x1b[2~": "insert",
    "\x1b[3~": "delete",
    "\x1b[3;3~": "alt-delete",
    "\x1b[5~": "page-up",
    "\x1b[34~": "f20",
    # rxvt
    "\x1b[7~": "home",
    "\x1b[7$": "shift-home",
    "\x1b[7^": "ctrl-home",
    "\x1b[7@": "ctrl-shift-home",
    "\x1b[a": "shift-up",
    "\x1bOa": "ctrl-up",
    "\x1b\x1b[A": "alt-up",
    "\x1b\x1bOa": "ctrl-alt-up",
    "\x1b\x1b[7$": "alt-shift-home",
    # the Linux console
    "\x1b[[A": "f1",
    "\x1b[[E": "f5",
    # modifyOtherKeys
    "\x1b[27;5;9~": "ctrl-tab",
    "\x1b[27;6;65~": "ctrl-shift-a",
    "\x1b[27;2;13~": "shift-enter",
    # CSI u
    "\x1b[97;5u": "ctrl-a",
    "\x1b[97;6u": "ctrl-shift-a",
    "\x1b[97u": "a",
    "\x1b[97;2u": "A",
    "\x1b[97;4u": "alt-A",
    "\x1b[49:33;2u": "!",
    "\x1b[49;2u": "1",
    "\x1b[223;2u": "ß",
    "\x1b[49:13;2u": "1",
    "\x1b[128512u": "😀",
    "\x1b[97;1;228u": "ä",
    "\x1b[97;1;27u": "a",
    "\x1b[97;1;97:98u": "a",
    "\x1b[13;2u": "shift-enter",
    "\x1b[27u": "escape",
    "\x1b[127;3u": "alt-backspace",
    "\x1b[32;5u": "ctrl-space",
    "\x1b[57399u": "0",
    "\x1b[57399;5u": "ctrl-0",
    "\x1b[57414u": "enter",
    "\x1b[57376u": "f13",
    # focus
    "\x1b[I": "focus-in",
    "\x1b[O": "focus-out",
    # what is no key
    "\x1b[97;1:3u": "unknown",
    "\x1b[1;1:3A": "unknown",
    "\x1b[57358u": "unknown",
    "\x1b[155u": "unknown",
    "\x1b[55296u": "unknown",
    "\x1b[1114112u": "unknown",
    "\x1b[98$": "unknown",
    "\x1bOz": "unknown",
    "\x84": "unknown",
}


@pytest.mark.parametrize(("sent", "name"), NAMED.items())
def test_every_spelling_of_a_key_has_its_name(sent: str, name: str) -> None:
    whole = KeyDecoder().feed(sent.encode())
    assert [key.name for key in whole] == [name]
    decoder = KeyDecoder()
    assert [key for byte in sent.encode() for key in decoder.feed(bytes((byte,)))] == whole
    assert not decoder.waiting


def test_only_characters_type_text() -> None:
    typed = {sent: key.text for sent in NAMED for key in KeyDecoder().feed(sent) if key.name != "unknown"}
    assert {sent: text for sent, text in typed.items() if text and len(sent) > 1} == {
        "\x1bOk": "+",
        "\x1b[97u": "a",
        "\x1b[97;2u": "A",
        "\x1b[49:33;2u": "!",
        "\x1b[49;2u": "1",
        "\x1b[223;2u": "ß",
        "\x1b[49:13;2u": "1",
        "\x1b[128512u": "😀",
        "\x1b[97;1;228u": "ä",
        "\x1b[97;1;27u": "a",
        "\x1b[97;1;97:98u": "a",
        "\x1b[57399u": "0",
    }
    assert typed[" "] == " "


ANSWERS = [
    "\x1b[?62;22c",
    "\x1b[>41;354;0c",
    "\x1b[0n",
    "\x1b[?1;2$y",
    "\x1b[24;80R",
    "\x1b[1;80R",
    "\x1b[?1;1R",
    "\x1b[8;24;80t",
    "\x1b[2;1;1;112;112;1;0x",
    "\x1b[;5A",
    "\x1b[<0;1M",
    "\x1b[99~",
    "\x1b]11;rgb:0000/0000/0000\x07",
    "\x1b]lrm -rf /\r\x1b\\",
    "\x1b]L\x1b\\",
    "\x1bP1$r0m\r\x1b\\",
    "\x1bP>|terminal\x9c",
    "\x9d11;x\x9c",
    "\x1b_Gi=1;OK\x1b\\",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_r36_an_answer_of_the_terminal_is_never_typed_text(answer: str) -> None:
    decoder = KeyDecoder()
    assert [key.name for key in decoder.feed(answer)] == ["answer"]
    assert [key.name for character in answer for key in decoder.feed(character)] == ["answer"]
    assert not decoder.waiting


@pytest.mark.parametrize("answer", ANSWERS)
def test_r36_an_answer_that_stops_halfway_is_never_typed_text(answer: str) -> None:
    for length in range(3, len(answer)):
        decoder = KeyDecoder()
        keys = decoder.feed(answer[:length]) + decoder.flush() + decoder.feed(answer[length:])
        assert [key.name for key in keys] == ["answer"], length


def test_r36_a_broken_sequence_is_never_typed_text() -> None:
    assert KeyDecoder().feed("\x1b[12;34\rls") == [
        Key("unknown", "\x1b[12;34"),
        Key("enter"),
        Key("l", "l"),
        Key("s", "s"),
    ]


def test_ctrl_c_gets_a_person_out_of_an_answer_that_never_ends() -> None:
    decoder = KeyDecoder()
    assert decoder.feed("\x1bP1$r" + "x" * 10000) == []
    assert [key.name for key in decoder.feed("\x03a")] == ["answer", "ctrl-c", "a"]
    assert [key.name for key in decoder.feed("\x1b]0;x\x18a")] == ["answer", "a"]
    assert [key.name for key in decoder.feed("\x1b]0;x\x1b[A")] == ["answer", "up"]
    assert decoder.feed("\x1b]0;x\x1b") == []
    assert not decoder.waiting
    assert [key.name for key in decoder.feed("a")] == ["answer", "alt-a"]


def test_r18_endless_sequences_cost_bounded_memory() -> None:
    decoder = KeyDecoder()
    assert decoder.feed("\x1b[") == []
    names = [key.name for _ in range(100) for key in decoder.feed("1;" * 100)]
    assert names == ["unknown"]
    assert len(decoder._pending) <= MAX_SEQUENCE
    assert decoder.feed("ma") == [Key("a", "a")]
    decoder.feed("\x1b[" + "1" * 1000)
    assert decoder.feed("\ra") == [Key("enter"), Key("a", "a")]
    decoder.feed("\x1b]0")
    for _ in range(100):
        decoder.feed("x" * 1000)
    assert sum(map(len, decoder._kept)) <= MAX_ANSWER + 2
    assert len(decoder.feed("\x07")[0].text) <= MAX_ANSWER + 2
    (long,) = decoder.feed("\x1b[?" + "1" * 100000 + "c")
    assert len(long.text) <= MAX_ANSWER


def test_a_lone_escape_waits_for_its_caller_s_clock() -> None:
    decoder = KeyDecoder()
    assert decoder.feed("\x1b") == []
    assert decoder.waiting
    assert decoder.flush() == [Key("escape")]
    assert not decoder.waiting
    assert decoder.flush() == []
    for sent, names in {
        "\x1b\x1b": ["escape", "escape"],
        "\x1b[": ["alt-["],
        "\x1bO": ["alt-O"],
        "\x1b]": ["alt-]"],
        "\x1bP": ["alt-P"],
        "\x1b\x1b[": ["escape", "alt-["],
        "\x9b": ["unknown"],
    }.items():
        assert decoder.feed(sent) == []
        assert decoder.waiting
        assert [key.name for key in decoder.flush()] == names


def test_what_follows_a_lone_escape_decides() -> None:
    assert [key.name for key in KeyDecoder().feed("\x1b\x1b\x1bx\x1b[é\x1b]y\x8fé")] == [
        "escape",
        "escape",
        "alt-x",
        "alt-[",
        "é",
        "alt-]",
        "y",
        "unknown",
        "é",
    ]


def test_nothing_in_a_paste_is_taken_for_a_key() -> None:
    pasted = "rm\x03\x1b[A\x1b]0;x\r\nls\r\x1b[200~"
    decoder = KeyDecoder()
    keys = decoder.feed(f"\x1b[200~{pasted}\x1b[201~x")
    assert keys == [Key("paste", "rm\x03\x1b[A\x1b]0;x\nls\n\x1b[200~"), Key("x", "x")]
    assert [key for character in f"\x1b[200~{pasted}\x1b[201~x" for key in decoder.feed(character)] == keys
    assert decoder.feed("\x1b[200~\x1b") == []
    assert not decoder.waiting
    assert decoder.flush() == []
    assert decoder.feed("[201~\x1b[201~") == [Key("paste", ""), Key("answer", "CSI 201~")]


def test_r18_an_endless_paste_costs_bounded_memory() -> None:
    decoder = KeyDecoder()
    decoder.feed("\x1b[200~")
    for _ in range(MAX_PASTE // 100000 + 3):
        decoder.feed("x" * 100000)
    assert decoder.feed("\x1b[201~") == [Key("paste", "x" * MAX_PASTE)]


def test_the_mouse_is_silent_unless_asked_for() -> None:
    reports = '\x1b[<0;3;4M\x1b[<0;3;4m\x1b[M !"\x1b[32;3;4M'
    assert KeyDecoder().feed(reports) == []
    decoder = KeyDecoder(mouse=True)
    assert decoder.feed(reports) == [
        Key("mouse-press", "left", 4, 3),
        Key("mouse-release", "left", 4, 3),
        Key("mouse-press", "left", 2, 1),
        Key("mouse-press", "left", 4, 3),
    ]
    assert [key for character in reports for key in decoder.feed(character)][2].row == 2
    assert decoder.feed("\x1b[<65;1;1M\x1b[<18;1;1M\x1b[<35;1;1M") == [
        Key("wheel-down", "", 1, 1),
        Key("ctrl-mouse-press", "right", 1, 1),
        Key("mouse-move", "", 1, 1),
    ]
    assert decoder.feed("\x1b[M\x00\x00\x00") == [Key("mouse-press", "left", 0, 0)]


def test_a_position_that_was_asked_for_is_told_even_where_it_looks_like_f3() -> None:
    decoder = KeyDecoder()
    decoder.expected_positions = 1
    assert decoder.feed("\x1b[1;2R\x1b[1;2R") == [Key("position", "", 1, 2), Key("shift-f3")]


STREAMS = st.lists(
    st.sampled_from([*NAMED, *ANSWERS])
    | st.text("\x1b[]OPM;:?<1Am$~u\x07\x9b é", max_size=8)
    | st.text(max_size=3)
).map("".join)


@given(STREAMS)
def test_keys_do_not_depend_on_the_chopping(stream: str) -> None:
    whole, pieces = KeyDecoder(mouse=True), KeyDecoder(mouse=True)
    assert whole.feed(stream) == [key for character in stream for key in pieces.feed(character)]


@given(st.binary())
def test_no_bytes_make_it_raise(stream: bytes) -> None:
    decoder = KeyDecoder()
    decoder.feed(stream)
    decoder.flush()
