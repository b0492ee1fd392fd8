"""Warnings that a peer can provoke."""

import logging

import pytest

from bus.quiet import LINES, SECONDS, QuietLogger


def test_of_a_flood_a_few_lines_are_written_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The first line of the next period says how many were left out."""
    now = 100.0
    quiet = QuietLogger(logging.getLogger("test"), lambda: now)

    for number in range(LINES + 7):
        quiet.warning("peer %d", number)
    now += SECONDS
    quiet.warning("peer %d", 99)
    quiet.warning("peer %d", 100)

    lines = [record.getMessage() for record in caplog.records]
    assert lines == [*(f"peer {number}" for number in range(LINES)), "peer 99 (and 7 others, not shown)", "peer 100"]


def test_a_warning_now_and_then_is_written_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has to know that there is a limit."""
    now = 0.0
    quiet = QuietLogger(logging.getLogger("test"), lambda: now)

    for _ in range(3 * LINES):
        now += SECONDS
        quiet.warning("one")

    assert [record.getMessage() for record in caplog.records] == ["one"] * (3 * LINES)
