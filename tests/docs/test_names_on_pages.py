"""The names in the tables of the pages exist, and the tables leave nothing out."""

import inspect
import re
from typing import Any

import pytest

import sshkit
from sshkit.client.connect import connect
from sshkit.server.server import Settings
from sshkit.testing import MemoryReactor
from sshkit.testing.transport import MemoryPair
from tests.docs.pages import ROOT, section


def first_column(text: str) -> list[str]:
    """Return what stands between backticks in the first column of the tables of `text`."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_the_client_page_has_every_parameter_of_connect() -> None:
    told = set(first_column(section("docs/client.md", "Where to and as whom")))
    assert told <= set(inspect.signature(connect).parameters)
    page = (ROOT / "docs" / "client.md").read_text()
    for name in inspect.signature(connect).parameters:
        assert name == "destination" or f"`{name}" in page or f"`{name}=" in page, name


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("timeout", "(30)"),
        ("login_timeout", "(120)"),
        ("keepalive", "(30; 0: never)"),
        ("keepalive_count", "(3)"),
    ],
)
def test_the_client_page_has_the_defaults_of_connect(name: str, default: str) -> None:
    number = float(re.findall(r"\d+", default)[0])
    assert inspect.signature(connect).parameters[name].default == number
    assert default in section("docs/client.md", "Where to and as whom")


def test_the_server_page_has_the_session() -> None:
    for name in first_column(section("docs/server.md", "The session")):
        attribute = name.partition("(")[0].split(".")[0]
        assert hasattr(sshkit.Session, attribute), name


def test_the_server_page_has_settings_that_exist() -> None:
    text = section("docs/server.md", "Settings")
    named = re.findall(r"`(\w+)`", text.split(": ", 1)[1].split(" and more")[0])
    assert named
    assert set(named) <= set(Settings._fields)
    defaults = Settings()
    assert (defaults.grace_time, defaults.max_tries, defaults.max_sessions) == (120, 6, 10)
    assert tuple(defaults.max_startups) == (10, 30, 100)
    for part in ("(120 s", "(6)", "(10:30:100)", "(10 a"):
        assert part in text


def test_the_event_core_page_has_calls_that_exist() -> None:
    async def main() -> Any:
        return sshkit.current_reactor()

    reactor = sshkit.run(main())
    for call in first_column((ROOT / "docs" / "event-core.md").read_text()):
        assert hasattr(reactor, call.partition("(")[0]), call


def test_the_testing_page_names_what_there_is() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    assert "network.on_connect" in text
    assert hasattr(MemoryReactor(), "on_connect")
    for name in ("client", "server", "chop"):
        assert f"pair.{name}" in text
        assert hasattr(MemoryPair, name)
