"""Log lines: none can be forged, repeats are held back and counted."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.telemetry.logging import JsonFormatter, RepeatFilter, TextFormatter, _Stderr, escaped, set_up_logging

FORGERY = "gone\n2026-01-01 00:00:00,000 runner INFO all is well"
ACTING = "\u202e\u200b\ufeff\x1b[2J\x9b1m\r\x00\x7f\x85\u2028\u2029"


def record(message: str, *args: object, level: int = logging.WARNING, **extra: object) -> logging.LogRecord:
    """Make a log record as a call of a logger does."""
    return logging.getLogger("bus.test").makeRecord(
        "bus.test", level, "file.py", 1, message, args, None, extra=dict(extra)
    )


def raise_value_error(text: str) -> NoReturn:
    """Be the line that a traceback shows."""
    raise ValueError(text)


def failed(text: str) -> logging.LogRecord:
    """Make the record of an exception."""
    try:
        raise_value_error(text)
    except ValueError:
        return logging.getLogger("bus.test").makeRecord(
            "bus.test", logging.ERROR, "file.py", 1, "it failed", (), sys.exc_info()
        )


FORMATTERS: dict[str, Callable[[str], logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}


@pytest.mark.parametrize("style", FORMATTERS)
@pytest.mark.parametrize("foreign", [FORGERY, ACTING, "\udcff half"])
def test_a_message_is_one_line_whatever_stands_in_it(style: str, foreign: str) -> None:
    """Nobody can write a line of ours, or act on the terminal that shows it (CWE-117)."""
    line = FORMATTERS[style]("runner").format(record("peer says %s", foreign, peer=foreign))

    assert len(line.splitlines()) == 1
    assert line.encode()
    assert all(char.isprintable() for char in line)


@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_escaped_is_one_line_that_can_be_encoded(text: str) -> None:
    """For every text there is; what is printable ASCII stays as it is."""
    line = escaped(text)

    assert len(line.splitlines()) <= 1
    assert line.encode().decode() == line
    assert line == text or not text.isascii() or not text.isprintable()


def test_a_text_line_has_time_service_level_and_message() -> None:
    """In the form that it always had."""
    line = TextFormatter("runner").format(record("%d jobs wait", 3))

    date, clock, rest = line.split(" ", 2)
    assert (len(date), len(clock), rest) == (10, 12, "runner WARNING 3 jobs wait")


def test_a_traceback_is_indented_and_its_message_is_on_one_line() -> None:
    """Only our own lines begin at the margin."""
    first, *rest = TextFormatter("runner").format(failed(FORGERY)).split("\n")

    assert first.endswith("runner ERROR it failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)


def test_a_json_line_is_an_object_with_its_fields() -> None:
    """Time in UTC, level, service, logger, message, and what was given beside it."""
    line = json.loads(JsonFormatter("learning").format(record("lost %s", "ä\n", offset=7)))

    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "service": "learning",
        "logger": "bus.test",
        "message": "lost ä\n",
        "offset": "7",
    }
    assert "ValueError: no" in json.loads(JsonFormatter("learning").format(failed("no")))["exception"]


def test_repeats_are_held_back_and_counted() -> None:
    """So many lines of one template a minute; the first of the next says how many did not come."""
    now = 100.0
    repeats = RepeatFilter(limit=3, clock=lambda: now)

    passed = [bool(repeats.filter(record("peer %s sends garbage", number))) for number in range(50)]
    assert passed == [True] * 3 + [False] * 47
    assert repeats.filter(record("another template"))
    assert all(repeats.filter(record("job %s starts", number, level=logging.INFO)) for number in range(50))

    now = 160.0
    again = record("peer %s sends garbage", 51)
    assert repeats.filter(again)
    assert TextFormatter("s").format(again).endswith("peer 51 sends garbage (47 more like this were held back)")
    assert json.loads(JsonFormatter("s").format(again))["held_back"] == 47
    now = 220.0
    later = record("peer %s sends garbage", 52)
    assert repeats.filter(later)
    assert TextFormatter("s").format(later).endswith("peer 52 sends garbage")


def test_templates_without_end_take_no_memory_without_end() -> None:
    """A logger that is given made-up templates is bounded too."""
    repeats = RepeatFilter()
    for number in range(5000):
        assert repeats.filter(record(f"template {number}"))
    assert len(repeats._seen) <= 1000


def test_a_line_that_nobody_takes_is_lost_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A reader that has gone is no reason for a traceback, nor for an exception."""
    read, write = os.pipe()
    monkeypatch.setattr("bus.telemetry.logging.STDERR", write)
    handler = _Stderr()
    handler.setFormatter(TextFormatter("runner"))
    handler.handle(record("somebody reads"))
    assert os.read(read, 1000).endswith(b"runner WARNING somebody reads\n")
    os.close(read)

    handler.handle(record("nobody reads"))

    os.close(write)
    assert capfd.readouterr() == ("", "")


def test_a_warning_of_a_library_is_a_line_like_all_others(capfd: pytest.CaptureFixture[str]) -> None:
    """Pillow warns of pictures that are broken; what reads the log as JSON gets nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # an earlier test may have let it be captured in a frame of its own
        set_up_logging("runner", "info", "json")
        warnings.warn("Corrupt EXIF data\nall is well", UserWarning, stacklevel=1)

    (line,) = capfd.readouterr().err.splitlines()
    assert "Corrupt EXIF data\nall is well" in json.loads(line)["message"]
