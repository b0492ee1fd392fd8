"""The client of the control socket."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from bus.protocol.addresses import parse_address
from bus.protocol.control import ControlError, error_decoder
from bus.protocol.frames import encode
from bus.protocol.validation import InvalidInputError, decode
from bus.transport import sockets
from bus.transport.attempts import REFUSED_SECONDS, Attempts, note_answer, waits
from bus.transport.keys import Keys, curve_for
from bus.transport.loop import TURN_SECONDS, Loop, Timer
from bus.transport.sockets import CurveClient, Socket

R = TypeVar("R")
Connect = Callable[[str, CurveClient | None], Socket]
REQUEST_SECONDS: Final = 4.0
REPLY_FRAMES: Final = 3


class NoAnswerError(ControlError):
    """No service has answered; the text says where and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__("unavailable", message)


@dataclass(slots=True, eq=False)
class _Connection:
    """A socket, when something was last heard from it, and how many requests wait for their answer at it."""

    socket: Socket
    heard: float = 0.0
    waiting: int = 0


@dataclass(slots=True)
class _Question:
    """A request that waits for its answer."""

    decoder: msgspec.msgpack.Decoder[Any]
    on_reply: Callable[[Any], None]
    on_error: Callable[[ControlError], None]
    timer: Timer
    sent: float
    connection: _Connection


class RequestClient:
    """Sends requests to one service; each ends with exactly one of its two callbacks, unless it is closed before."""

    def __init__(
        self, loop: Loop, address: str, curve: CurveClient | None = None, connect: Connect | None = None
    ) -> None:
        """Connect in the background; the service does not have to run yet. `curve`: see `bus.transport.keys.curve_for`.

        Raises:
            AddressError: `address` is not of the form tcp://HOST:PORT.
        """
        parse_address(address)
        self.address = address
        self._loop, self._curve, self._connect = loop, curve, connect or sockets.connect_control
        self._questions: dict[bytes, _Question] = {}
        self._count = 0
        self._connection = self._open()

    def ask(
        self,
        method: str,
        params: object,
        reply: type[R],
        on_reply: Callable[[R], None],
        on_error: Callable[[ControlError], None],
        timeout: float = REQUEST_SECONDS,
    ) -> None:
        """Send a request; no answer within `timeout` seconds is a `ControlError` with the code `unavailable`."""
        self._count += 1
        request_id = b"%d" % self._count
        timer = self._loop.later(timeout, lambda: self._time_out(request_id, timeout))
        connection = self._connection
        connection.waiting += 1
        self._questions[request_id] = _Question(
            msgspec.msgpack.Decoder(reply), on_reply, on_error, timer, time.monotonic(), connection
        )
        sockets.send_frames(connection.socket, [request_id, method.encode(), encode(params)])

    def answer(self, method: str, params: object, reply: type[R], timeout: float = REQUEST_SECONDS) -> Future[R]:
        """Send a request, as `ask` does, and return the future of its reply, for work in steps."""
        future: Future[R] = Future()
        self.ask(method, params, reply, future.set_result, future.set_exception, timeout)
        return future

    def close(self) -> None:
        """Drop all requests without a callback."""
        for request_id in list(self._questions):
            self._take(request_id)
        self._shut(self._connection)

    def _open(self) -> _Connection:
        connection = _Connection(self._connect(self.address, self._curve))
        self._loop.add(connection.socket, lambda: self._on_replies(connection))
        return connection

    def _shut(self, connection: _Connection) -> None:
        self._loop.remove(connection.socket)
        # a socket that tells a closed monitor of an attempt would keep libzmq's thread, and all connections, for ever
        connection.socket.disable_monitor()
        connection.socket.close()

    def _take(self, request_id: bytes) -> _Question | None:
        """Remove a request, and close its connection if that was replaced and no other waits there."""
        question = self._questions.pop(request_id, None)
        if question:
            question.timer.cancel()
            connection = question.connection
            connection.waiting -= 1
            if not connection.waiting and connection is not self._connection:
                self._shut(connection)
        return question

    def _on_replies(self, connection: _Connection) -> None:
        socket, until = connection.socket, time.monotonic() + TURN_SECONDS
        while not socket.closed and (frames := sockets.receive(socket)):
            connection.heard = time.monotonic()
            question = self._take(frames[0]) if len(frames) == REPLY_FRAMES else None
            if question:
                _settle(question, frames[1], frames[2])
            if time.monotonic() >= until:  # what is done with an answer may take long, and bring the next one
                return

    def _time_out(self, request_id: bytes, timeout: float) -> None:
        """Fail a request, and make a new connection if this one is silent: it may be dead.

        The old one is read until the other requests there have ended, each at its own time, and closed then. So none
        of them arrives at a service that comes back much later.
        """
        question = self._questions[request_id]
        if question.connection is self._connection and question.connection.heard < question.sent:
            self._connection = self._open()
        self._take(request_id)
        text = f"no answer from {self.address} within {timeout:g} s; is the service there? `variantbus up` starts all"
        if self._curve:
            text += "; if it is, check the keys: it must list ours, and our peers file must have its own"
        else:
            text += "; if it is, it may want keys: see --keys"
        question.on_error(NoAnswerError(text))


def _settle(question: _Question, status: bytes, body: bytes) -> None:
    try:
        if status == b"ok":
            answer: Callable[[], None] = partial(question.on_reply, decode(question.decoder, body))
        else:
            answer = partial(question.on_error, ControlError.of(decode(error_decoder, body)))
    except InvalidInputError as invalid:
        answer = partial(question.on_error, ControlError("internal", f"the answer cannot be read: {invalid}"))
    answer()


def request(
    address: str,
    method: str,
    params: object,
    reply: type[R],
    timeout: float = REQUEST_SECONDS,
    *,
    keys: Keys | None = None,
) -> R:
    """Send one request and return its reply; with `keys` if the service requires them.

    Raises:
        ControlError: the service refuses.
        NoAnswerError: no answer within `timeout` seconds, or no connection (see `bus.transport.attempts`).
        AddressError: `address` is not of the form tcp://HOST:PORT.
        InvalidInputError: the keys do not say which key the service has.
    """
    curve = curve_for(keys, address)
    replies: list[R] = []
    errors: list[ControlError] = []
    with closing(Loop()) as loop, closing(Attempts(loop)) as attempts:
        client = RequestClient(loop, address, curve, None if waits(address) else attempts.connect)
        with closing(client):
            client.ask(method, params, reply, replies.append, errors.append, timeout)
            loop.later(REFUSED_SECONDS, lambda: errors.extend(_refused(attempts, address)))
            while not replies and not errors:
                loop.step()
    if not errors:
        note_answer(address)
        return replies[0]
    if not isinstance(errors[0], NoAnswerError):
        note_answer(address)
    raise errors[0]


def _refused(attempts: Attempts, address: str) -> Iterator[ControlError]:
    if attempts.all_failed:
        yield NoAnswerError(
            f"no answer from {address}: no connection can be made; is the service there? `variantbus up` starts all"
        )
