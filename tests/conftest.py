"""What holds for every test.

A test that needs a real peer is skipped only where that peer is absent.  Tests by properties take the same
examples in every run, however slow the machine is just then; SSHKIT_FUZZ=1 looks for new ones.
"""

import os
import shutil
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "same", deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("new", deadline=None, database=None, max_examples=1000)
settings.load_profile("new" if os.environ.get("SSHKIT_FUZZ") else "same")

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
