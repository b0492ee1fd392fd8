"""The fixture that starts our commands as processes and leaves none behind."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import House


@pytest.fixture
def house(tmp_path: Path, no_leaks: None) -> Iterator[House]:  # noqa: ARG001 - asked for what it does
    """Give a folder and the means to start processes in it; all of them have ended afterwards."""
    house = House(tmp_path)
    yield house
    house.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the end of every process's stderr into the report of a failure."""
    report = yield
    house = getattr(item, "funcargs", {}).get("house")
    if report.failed and isinstance(house, House):
        report.sections.append(("stderr of the processes", house.report()))
    return report
