"""The escape character."""

import pytest
from sshkit_cli.escapes import EscapeFilter

from sshkit.config.shown import shown_character


def typed(*pieces: bytes, character: int = 126) -> tuple[bytes, list[str]]:
    done: list[str] = []
    actions = {46: lambda: done.append("end"), 63: lambda: done.append("help")}
    keys = EscapeFilter(character, actions)
    return b"".join(bytes(keys.feed(memoryview(piece))) for piece in pieces), done


@pytest.mark.parametrize(
    ("pieces", "sent", "done"),
    [
        ([b"~."], b"", ["end"]),
        ([b"ls\r~."], b"ls\r", ["end"]),
        ([b"ls\n", b"~", b"."], b"ls\n", ["end"]),
        ([b"ls~."], b"ls~.", []),
        ([b"ls", b"~."], b"ls~.", []),
        ([b"\r~~."], b"\r~.", []),
        ([b"\r~x"], b"\r~x", []),
        ([b"\r~?~."], b"\r", ["help", "end"]),
        ([b"\r~\r~."], b"\r~\r", ["end"]),
        ([b"", b"~."], b"", ["end"]),
        ([b"a\r", b"b", b"~."], b"a\rb~.", []),
    ],
)
def test_an_escape_counts_at_the_start_of_a_line_only(
    pieces: list[bytes], sent: bytes, done: list[str]
) -> None:
    assert typed(*pieces) == (sent, done)
    whole = b"".join(pieces)
    assert typed(*(whole[index : index + 1] for index in range(len(whole)))) == (sent, done)


def test_another_character_may_escape() -> None:
    assert typed(b"~.\r\x1d.", character=29) == (b"~.\r", ["end"])
    assert (shown_character(29), shown_character(126)) == ("^]", "~")
    assert EscapeFilter(29, {}).shown == "^]"
