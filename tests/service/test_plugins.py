"""Plug-ins are found by their entry points; a broken one keeps nobody else out."""

import logging
from pathlib import Path

import pytest

from sshkit.service import PluginError, load_plugins


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two distributions: one is sound, of the other each plug-in fails in its own way."""
    for name, points in (
        ("sound", "b = sound_plugin:VALUE\na = sound_plugin"),
        ("broken", "fails = broken_plugin\nexits = exiting_plugin\nmissing = no_such_plugin"),
    ):
        folder = tmp_path / f"{name}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[sshkit_test_group]\n{points}\n")
    (tmp_path / "sound_plugin.py").write_text("VALUE = 7\n")
    (tmp_path / "broken_plugin.py").write_text("raise ValueError('no \\x1b luck')\n")
    (tmp_path / "exiting_plugin.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("offered")
def test_a_broken_plug_in_names_its_distribution_and_does_not_stop_the_others() -> None:
    errors: list[PluginError] = []
    found = load_plugins("sshkit_test_group", on_error=errors.append)
    assert [(plugin.name, plugin.distribution) for plugin in found] == [
        ("a", "sound 1.2"),
        ("b", "sound 1.2"),
    ]
    assert found[1].value == 7
    assert [str(error) for error in errors] == [
        "plug-in 'exits' (exiting_plugin) of broken 1.2, group 'sshkit_test_group': SystemExit: 3",
        "plug-in 'fails' (broken_plugin) of broken 1.2, group 'sshkit_test_group': ValueError: no \\x1b luck",
        (
            "plug-in 'missing' (no_such_plugin) of broken 1.2, group 'sshkit_test_group': "
            "ModuleNotFoundError: No module named 'no_such_plugin'"
        ),
    ]


@pytest.mark.usefixtures("offered")
def test_without_a_handler_the_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sshkit.service"):
        assert len(load_plugins("sshkit_test_group")) == 2
    assert len(caplog.records) == 3


def test_a_group_that_nobody_offers_is_empty() -> None:
    assert load_plugins("sshkit_no_such_group") == []
