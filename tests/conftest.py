"""What holds for every test: a test that needs a real peer is skipped only where that peer is absent."""

import os
import shutil
from collections.abc import Generator

import pytest

#: Commands that live where an ordinary user's PATH does not look.
EXTRA_PATH = "/usr/sbin:/usr/local/sbin"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose peer is absent; in CI that is a failure."""
    for marker in item.iter_markers("peer"):
        name = marker.args[0]
        if shutil.which(name, path=f"{os.environ.get('PATH', '')}:{EXTRA_PATH}") is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"{name} is not installed")
            pytest.skip(f"{name} is not installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one, whoever skipped it: everything is installed there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
    return report
