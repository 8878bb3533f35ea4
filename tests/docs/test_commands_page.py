"""docs/commands.md says of every flag and keyword what the code does with it."""

import re

import pytest
from sshkit_cli import (
    add,
    agent,
    copy_id,
    keygen,
    keyscan,
    options,
    scp_options,
    server_options,
    sftp_options,
    sync_options,
)

from sshkit.config import client_keywords
from sshkit.sftp import server_options as sftp_server_options
from tests.docs.pages import ROOT, section

PAGE = "docs/commands.md"
TEXT = (ROOT / PAGE).read_text()


def names(heading: str) -> set[str]:
    """Return the keywords that a section names in its paragraphs."""
    paragraphs = section(PAGE, heading).split("\n\n")
    lists = [text for text in paragraphs if re.match(r"\s*`\w+`,\s", text)]
    words = re.findall(r"`(\w+)`", "\n".join(lists))
    assert words == sorted(words, key=str.lower), f"{heading}: in the order of the alphabet, please"
    assert len(words) == len(set(words))
    return {word.lower() for word in words}


@pytest.mark.parametrize(
    ("heading", "keywords"),
    [("Old names of these", set(client_keywords.ALIASES))],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_list_of_keywords_is_that_of_the_code(heading: str, keywords: set[str]) -> None:
    assert names(heading) == keywords


def flags(heading: str) -> set[str]:
    """Return the letters in the first column of a section's table."""
    rows = [line for line in section(PAGE, heading).splitlines() if line.startswith("| `-")]
    return {letter for row in rows for letter in re.findall(r"`-(\w)`", row.split(" | ")[0])}


def test_the_flags_of_the_client_are_those_of_the_code() -> None:
    taken = {*options._KEYWORDS, *options._SWITCHES, *options._OTHERS, *options._OTHERS_WITH_ARGUMENT}
    assert flags("sshkit-client") == taken


def test_the_flags_of_the_server_are_those_of_its_usage() -> None:
    letters = set(re.findall(r"\[-(\w) ", server_options.USAGE)) | set(
        server_options.USAGE.partition("[-")[2].partition("]")[0]
    )
    assert flags("sshkit-server") == letters


@pytest.mark.parametrize(
    ("usage", "heading"),
    [
        (options.USAGE, "sshkit-client"),
        (server_options.USAGE, "sshkit-server"),
        (keygen.USAGE, "sshkit-keygen"),
        (agent.USAGE, "sshkit-agent"),
        (add.USAGE, "sshkit-add"),
        (keyscan.USAGE, "sshkit-keyscan"),
        (copy_id.USAGE, "sshkit-copy-id"),
        (sftp_options.USAGE, "sshkit-sftp"),
        (scp_options.USAGE, "sshkit-scp"),
        (sync_options.USAGE, "sshkit-sync"),
        (sftp_server_options.USAGE, "sshkit-sftp-server"),
    ],
    ids=[
        "client",
        "server",
        "keygen",
        "agent",
        "add",
        "keyscan",
        "copy-id",
        "sftp",
        "scp",
        "sync",
        "sftp-server",
    ],
)
def test_the_page_shows_the_usage_of_the_command(usage: str, heading: str) -> None:
    shown = re.search(r"```text\n(.*?)```", section(PAGE, heading), re.DOTALL)
    assert shown is not None
    assert shown[1].split() == usage.removeprefix("usage:").split()


def test_the_page_has_no_wide_lines() -> None:
    assert all(len(line) <= 120 for line in TEXT.splitlines() if not line.startswith("|"))
