"""The server of the control socket: from requests to replies, without the socket.

A method is a typed Struct of parameters and a function; every request gets a reply, never an exception.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

from bus.protocol.control import ID_LIMIT, ControlError, ErrorBody, ErrorCode, Role
from bus.protocol.doors import strict
from bus.protocol.frames import encode
from bus.protocol.validation import InvalidInputError, decode, near_miss
from bus.telemetry.logging import RepeatFilter
from bus.telemetry.metrics import Point
from bus.transport.sockets import Frame
from bus.transport.steps import Steps, complete

P = TypeVar("P", bound=msgspec.Struct)
METHOD_LIMIT: Final = 64
REQUEST_FRAMES: Final = 3
EMPTY_MAP: Final = b"\x80"
SMALL_BYTES: Final = 1 << 16
HELP: Final = {
    "variantbus_requests_total": "Requests answered, by method, with ok or the code of the error.",
    "variantbus_requests_dropped_total": "Requests that could not be answered.",
}
_undecoded: Final = msgspec.msgpack.Decoder(msgspec.Raw)
_encode_into: Final = msgspec.msgpack.Encoder().encode_into
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())  # a peer must not decide how much we log


class _Method(NamedTuple):
    door: msgspec.msgpack.Decoder[Any] | None  # refuses what is unknown; none where `decoder` does so itself
    decoder: msgspec.msgpack.Decoder[Any]
    handler: Callable[[Any], Any]
    role: Role
    takes_steps: bool

    def read(self, params: bytes) -> Any:
        """Decode parameters; what is unknown in them is refused."""
        if self.door:
            decode(self.door, params)
        return decode(self.decoder, params)


class PassedOn(Protocol):
    """Lets another service answer."""

    def __call__(self, method: str, params: msgspec.Raw, role: Role) -> Steps[object]:
        """Return what it answers, or raise its `ControlError`."""


class Refusal(NamedTuple):
    """The reply to an exception: the code of the error, and the advice to the client."""

    code: ErrorCode
    advice: str


class MethodServer:
    """The methods of a service by name; `points` counts answered requests by code, and dropped ones."""

    def __init__(
        self,
        refusals: Mapping[type[Exception], Refusal] = MappingProxyType({}),
        fatal: tuple[type[Exception], ...] = (),
        service: str = "",
    ) -> None:
        """Start with none.

        `service`: its name, for clients that have asked the wrong one. `refusals`: exceptions of handlers for transient
        errors, with the reply that the client gets. `fatal` ones end the process instead of being answered, as
        `MemoryError` does; but for those of exactly a type of `refusals`.
        """
        self._refusals, self._service = refusals, service
        self._fatal: tuple[type[Exception], ...] = (MemoryError, *fatal)
        self._methods: dict[str, _Method] = {}
        self._others: PassedOn | None = None
        self._answered: Counter[tuple[str, str]] = Counter()  # by method and "ok" or the code of the error
        self._dropped: Counter[str] = Counter()  # by reason
        self.role: Role = "command"  # of the client whose request is being answered
        self._buffer = bytearray()  # in which results are encoded

    def add(self, name: str, params: type[P], handler: Callable[[P], object], *, role: Role = "command") -> None:
        """Answer a method; the handler gets its parameters validated, as `strict`, and returns what msgpack can encode.

        It may raise `ControlError`, or `InvalidInputError` for what no type can express. A method that changes nothing
        has the role `read`, unless it tells of more than the service's own records, such as which files there are.
        """
        self._add(name, params, handler, role, takes_steps=False)

    def add_steps(
        self, name: str, params: type[P], handler: Callable[[P], Steps[object]], *, role: Role = "command"
    ) -> None:
        """Answer a method that may take long: as `add`, but the handler does its work in steps, and is answered later.

        Between two steps others are answered. So `role` of this server is no longer that of the client then.
        """
        self._add(name, params, handler, role, takes_steps=True)

    def pass_on(self, handler: PassedOn) -> None:
        """Let another service answer, in steps, all methods that are not here.

        The handler gets the method, its undecoded parameters, and what the client may do, which the other checks.
        """
        self._others = handler

    def takes_steps(self, frames: list[bytes]) -> bool:
        """Return whether a request that is accepted is to be answered by `steps`."""
        method = self._methods.get(frames[1][:METHOD_LIMIT].decode("ascii", "replace"))
        return method.takes_steps if method else self._others is not None

    def accepts(self, frames: list[bytes], address: Callable[[], str] = lambda: "a client") -> bool:
        """Return whether a message has the form of a request; what has not is counted, as no reply is possible.

        `address` is asked where the client is if that is worth a line in the log.
        """
        if len(frames) == REQUEST_FRAMES and len(frames[0]) <= ID_LIMIT:
            return True
        self._dropped["frames" if len(frames) != REQUEST_FRAMES else "request_id"] += 1
        logger.warning("a request of %s was dropped: it has not the three frames id, method and parameters", address())
        return False

    def answer(self, frames: list[bytes], role: Role | None = "command") -> list[Frame]:
        """Return the reply to a request that is accepted: `[request id, method, params]`.

        Send it at once: a large one is overwritten by the next. `role` is what the client may do: nothing if it is
        None, everything where there are no keys.
        """
        return complete(self.steps(frames, role))

    def steps(self, frames: list[bytes], role: Role | None = "command") -> Steps[list[Frame]]:
        """Return the reply, as `answer` does, in steps."""
        request_id, method, params = frames
        name = method[:METHOD_LIMIT].decode("ascii", "replace")
        try:
            known = self._find(name, role)
            result = known.handler(known.read(params or EMPTY_MAP))
            if known.takes_steps:
                result = yield from result
            body = self._encode(result)
        except Exception as error:  # noqa: BLE001 - raised again unless it has a reply
            return self.refuse(frames, self._reply_of(name, error))
        self._answered[name, "ok"] += 1
        return [request_id, b"ok", body]

    def refuse(self, frames: list[bytes], error: ControlError) -> list[Frame]:
        """Return the reply to a request that is not carried out."""
        name = frames[1][:METHOD_LIMIT].decode("ascii", "replace")
        known = name if name in self._methods else "unknown"  # unknown method names share one counter
        self._answered[known, error.code] += 1
        return [frames[0], b"error", _encode_error(error)]

    def _encode(self, result: object) -> Frame:
        """Encode a result; the memory of a large one is used again: to get as much anew would take long."""
        _encode_into(result, self._buffer)
        return self._buffer if len(self._buffer) > SMALL_BYTES else bytes(self._buffer)

    def drop_orphan(self) -> None:
        """Count a request whose client is gone."""
        self._dropped["orphaned"] += 1

    def points(self) -> Iterator[Point]:
        """Yield the numbers of requests by outcome."""
        for (method, code), count in self._answered.items():
            yield "variantbus_requests_total", {"method": method, "code": code}, count
        for reason, count in self._dropped.items():
            yield "variantbus_requests_dropped_total", {"reason": reason}, count

    def _add(self, name: str, params: type[P], handler: Callable[[P], Any], role: Role, *, takes_steps: bool) -> None:
        taken = strict(params)
        door = None if taken is params else msgspec.msgpack.Decoder(taken)
        self._methods[name] = _Method(door, msgspec.msgpack.Decoder(params), handler, role, takes_steps)

    def _find(self, name: str, role: Role | None) -> _Method:
        if role is None:
            raise ControlError(
                "unauthorized", "your key is no longer enrolled; ask for it to be added to the peers file"
            )
        if name not in self._methods and (others := self._others):
            return _Method(None, _undecoded, lambda params: others(name, params, role), "read", takes_steps=True)
        if name not in self._methods:
            details = {"service": self._service, "method": name} if self._service else {}
            text = f"method {name!r} is unknown; {near_miss(name, list(self._methods))}"
            raise ControlError("unknown_method", text, details)
        known = self._methods[name]
        if known.role == "command" and role != "command":
            text = f"{name} needs the role command, your key has {role}; have its line in the peers file changed"
            raise ControlError("unauthorized", text)
        self.role = role
        return known

    def _reply_of(self, name: str, error: Exception) -> ControlError:
        """Return the reply that an exception of a handler stands for; one that ends the process is raised again."""
        if isinstance(error, InvalidInputError):
            return ControlError("invalid_request", str(error))
        if isinstance(error, ControlError):
            return error
        if isinstance(error, self._fatal) and type(error) not in self._refusals:
            raise error
        refusal = next((one for kind, one in self._refusals.items() if isinstance(error, kind)), None)
        if refusal:
            logger.warning("method %s: %s", name, error)
            return ControlError(refusal.code, f"{error}; {refusal.advice}")
        logger.error("method %s failed", name, exc_info=error)
        return ControlError("internal", f"{name} failed: {type(error).__name__}; see the service's log")


def _encode_error(error: ControlError) -> bytes:
    return encode(ErrorBody(code=error.code, message=error.message, details=error.details))
