"""The answering half of the control socket: requests in, replies out, without the socket.

A method is a typed Struct of parameters and a function; whatever arrives becomes a reply, never an exception.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import msgspec

from bus import wire
from bus.log import BodyTooLargeError, StorageError
from bus.metrics import Point
from bus.validate import InvalidInputError, decode, near_miss
from bus.wire import ControlError, ErrorBody

P = TypeVar("P", bound=msgspec.Struct)
METHOD_LIMIT: Final = 64
REQUEST_FRAMES: Final = 3
EMPTY_MAP: Final = b"\x80"
logger = logging.getLogger(__name__)


class Methods:
    """The methods of a service by name."""

    def __init__(self) -> None:
        """Start with none."""
        self._methods: dict[str, tuple[msgspec.msgpack.Decoder[Any], Callable[[Any], object]]] = {}
        self._answered: Counter[tuple[str, str]] = Counter()  # by method and "ok" or the code of the error
        self._dropped: Counter[str] = Counter()  # by reason

    def add(self, name: str, params: type[P], handler: Callable[[P], object]) -> None:
        """Answer a method; the handler gets its parameters validated and returns what msgpack can encode.

        It may raise `ControlError`, or `InvalidInputError` for what no type can express.
        """
        self._methods[name] = (msgspec.msgpack.Decoder(params), handler)

    def answer(self, frames: list[bytes]) -> list[bytes] | None:
        """Answer `[request id, method, params]`; None for what has not even this form and so cannot be answered."""
        if len(frames) != REQUEST_FRAMES or len(frames[0]) > wire.ID_LIMIT:
            self._dropped["frames" if len(frames) != REQUEST_FRAMES else "request_id"] += 1
            logger.warning("request of %d frames dropped", len(frames))
            return None
        request_id, method, params = frames
        name = method[:METHOD_LIMIT].decode("ascii", "replace")
        known = name if name in self._methods else "unknown"  # what others make up is not counted apart
        try:
            result = self._call(name, params)
        except ControlError as error:
            self._answered[known, error.code] += 1
            return [request_id, b"error", _encode_error(error)]
        self._answered[known, "ok"] += 1
        return [request_id, b"ok", result]

    def points(self) -> Iterator[Point]:
        """Tell how many requests were answered, and how."""
        for (method, code), count in self._answered.items():
            yield "variantbus_requests_total", {"method": method, "code": code}, count
        for reason, count in self._dropped.items():
            yield "variantbus_requests_dropped_total", {"reason": reason}, count

    def _call(self, name: str, params: bytes) -> bytes:
        if name not in self._methods:
            raise ControlError("unknown_method", f"method {name!r} is unknown; {near_miss(name, list(self._methods))}")
        decoder, handler = self._methods[name]
        try:
            return wire.encode(handler(decode(decoder, params or EMPTY_MAP)))
        except InvalidInputError as error:
            raise ControlError("invalid_request", str(error)) from None
        except BodyTooLargeError as error:
            raise ControlError("too_large", f"{error}; put large values in a file") from None
        except StorageError as error:
            logger.error("method %s: %s", name, error)  # noqa: TRY400 - no bug of ours
            raise ControlError("unavailable", f"{error}; make room and try again") from None
        except ControlError:
            raise
        except Exception as error:
            logger.exception("method %s failed", name)
            raise ControlError("internal", f"{name} failed: {type(error).__name__}; see the service's log") from error


def _encode_error(error: ControlError) -> bytes:
    return wire.encode(ErrorBody(code=error.code, message=error.message, details=error.details))
