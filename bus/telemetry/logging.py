"""Log lines on stderr: one line for each event, safe against forged lines; a failing stderr never stops a service."""

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from bus.telemetry.streams import POLICY, encoding_of, json_on

LogFormat = Literal["text", "json"]
STDERR: Final = 2
MINUTE: Final = 60.0
REPEATS_A_MINUTE: Final = 10  # lines of WARNING and above with the same template
TEMPLATES_LIMIT: Final = 1000
# control characters, line ends, what turns the direction of writing, and halves of surrogates, which no encoding has
_ACTING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "held_back"}


def set_up_logging(service: str, level: str, style: LogFormat = "text") -> None:
    """Write log lines to stderr. Called first of all, before anything is opened."""
    _keep_descriptors()
    handler = _Stderr()
    handler.setFormatter(JsonFormatter(service) if style == "json" else TextFormatter(service))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)  # of libraries, such as Pillow's of a broken picture: lines like all others


def escaped(text: str) -> str:
    """Return a text as one line: characters that end a line or control a terminal are escaped."""
    return _ACTING.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


class TextFormatter(logging.Formatter):
    """Lines for people: time, service, level, message. The lines of a traceback follow, each indented."""

    def __init__(self, service: str) -> None:
        """Name the service in every line."""
        super().__init__(f"%(asctime)s {service} %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as a line."""
        record.message = escaped(record.getMessage()) + _held_back(record)
        record.asctime = self.formatTime(record)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += [f"    {escaped(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line for programs; the keys of `extra` become fields."""

    def __init__(self, service: str) -> None:
        """Name the service in every line."""
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: str(value) for name, value in vars(record).items() if name not in _OWN},
        }
        if held := getattr(record, "held_back", 0):
            line["held_back"] = held
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        whole = {name: _encodable(value) if isinstance(value, str) else value for name, value in line.items()}
        # JSON escapes the first 32 characters by itself, and knows all others by their number
        text = _ACTING.sub(lambda match: f"\\u{ord(match[0]):04x}", msgspec.json.encode(whole).decode())
        return json_on(sys.stderr, text)


class RepeatFilter(logging.Filter):
    """Rate limit: at most so many lines a minute of one template, from WARNING on."""

    def __init__(self, limit: int = REPEATS_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no counts."""
        super().__init__()
        self._limit, self._clock = limit, clock
        self._seen: dict[tuple[str, str], list[float]] = {}  # start of its minute, lines in it, held back

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record passes; the first of the next minute says how many were held back."""
        if record.levelno < logging.WARNING:
            return True
        now = self._clock()
        key = (record.name, str(record.msg))
        if key not in self._seen:
            if len(self._seen) >= TEMPLATES_LIMIT:
                self._seen.clear()
            self._seen[key] = [now, 0, 0]
        entry = self._seen[key]
        if now - entry[0] >= MINUTE:
            record.held_back = getattr(record, "held_back", 0) + int(entry[2])
            entry[:] = [now, 0, 0]
        entry[1] += 1
        if entry[1] > self._limit:
            entry[2] += 1
            return False
        return True


class _Stderr(logging.Handler):
    """Writes each line at once and whole; a reader that has gone or a full disk costs the line, not the service."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            os.write(STDERR, (self.format(record) + "\n").encode(encoding_of(sys.stderr), POLICY))
        except OSError:
            pass
        except Exception:  # noqa: BLE001 - as logging does: a wrong call must not stop the service
            self.handleError(record)


def _held_back(record: logging.LogRecord) -> str:
    held = getattr(record, "held_back", 0)
    return f" ({held} more like this were held back)" if held else ""


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _keep_descriptors() -> None:
    """Open stdin, stdout and stderr if closed: a database must not get one of their descriptors."""
    for descriptor in range(STDERR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
