"""How values of ssh_config are shown by -G: as a file would have them, and never raw."""

from pathlib import Path

import pytest

from sshkit.config.client_keywords import KEYWORDS
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.shown import shown_value
from sshkit.config.ssh_config import load_client_options
from sshkit.config.tokens import Facts

ESCAPE = "\x1b[31m\x9b\u202e"


def load(folder: Path, keyword: str, text: str) -> ClientOptions:
    facts = Facts(str(folder), "me", 1000, "box.example", {})
    return load_client_options("h", facts, [command_line(keyword, text)], [])


def shown(folder: Path, keyword: str, text: str) -> str:
    known = KEYWORDS[keyword.lower()]
    return shown_value(keyword.lower(), getattr(load(folder, keyword, text), known.attribute).value)


@pytest.mark.parametrize(
    ("keyword", "text", "kept"),
    [
        ("ChannelTimeout", f"session:{ESCAPE}=5m agent*=7", "session:\\x1b[31m\\x9b\\u202e=300 agent*=7"),
        ("PermitRemoteOpen", f"{ESCAPE}:22 b:*", "\\x1b[31m\\x9b\\u202e:22 b:*"),
        (
            "CanonicalizePermittedCNAMEs",
            f"*.a{ESCAPE}:*.b",
            "*.a\\x1b[31m\\x9b\\u202e:*.b",
        ),
        ("ForwardAgent", f"/run/{ESCAPE}", "/run/\\x1b[31m\\x9b\\u202e"),
        ("CanonicalDomains", f"a.example {ESCAPE}", "a.example \\x1b[31m\\x9b\\u202e"),
        ("HostKeyAlias", ESCAPE, "\\x1b[31m\\x9b\\u202e"),
    ],
)
def test_r36_a_value_is_shown_with_its_control_characters_escaped(
    tmp_path: Path, keyword: str, text: str, kept: str
) -> None:
    assert shown(tmp_path, keyword, text) == kept


@pytest.mark.parametrize("text", ["[::1]:8080 a:*", "none", "any"])
def test_what_is_shown_of_permitremoteopen_can_be_written_to_a_file_again(tmp_path: Path, text: str) -> None:
    assert shown(tmp_path, "PermitRemoteOpen", text) == text
    assert shown(tmp_path, "PermitRemoteOpen", shown(tmp_path, "PermitRemoteOpen", text)) == text


def test_an_enormous_value_is_cut_when_it_is_shown(tmp_path: Path) -> None:
    assert shown(tmp_path, "HostKeyAlias", "a" * 5000) == "a" * 4096 + "..."
