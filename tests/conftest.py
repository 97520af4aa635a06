"""What every test shares: hypothesis's settings, and the rule that CI skips nothing."""

import os

import pytest
from hypothesis import settings

CI = "CI" in os.environ

# No deadline: the first example pays for compilation. Under CI the examples are the same in every run.
settings.register_profile("mazeinterp", deadline=None, derandomize=CI, print_blob=True)
settings.load_profile("mazeinterp")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under CI a skipped test fails the run: a check that did not run must not look like one that passed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not CI or reporter is None or not reporter.stats.get("skipped"):
        return
    reporter.write_line("")
    for report in reporter.stats["skipped"]:
        reporter.write_line(f"skipped, which fails the run under CI: {report.nodeid}", red=True)
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
