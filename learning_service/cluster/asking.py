"""Requests that came to a learning service that stands by, and are answered by the one that leads."""

import asyncio
import time
import zlib
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Final

import msgspec
import nats
from msgspec import Raw, Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus.cluster import names
from bus.cluster.connection import Connection
from bus.cluster.errors import told
from bus.protocol.control import ControlError, ErrorBody, Role
from bus.protocol.validation import InvalidInputError, decode
from bus.transport.loop import Loop
from bus.transport.server import MethodServer
from bus.transport.sockets import Frame
from bus.transport.steps import Steps, wait

ANSWER_SECONDS: Final = 60.0
LEADER_SECONDS: Final = 3.0  # in which another one begins to lead, if all is well; a client waits for four
PAUSE_SECONDS: Final = 0.25
AT_ONCE: Final = 100  # requests that are worked on; each may hold much in memory
LEVEL: Final = 1
RESERVE: Final = 4096
NOBODY: Final = "no learning service leads now; ask again in a few seconds, or see `variantbus cluster check`"
_encode = msgspec.msgpack.Encoder().encode


class _Question(Struct, frozen=True, array_like=True):
    method: str
    params: Raw
    role: Role


class _Answer(Struct, frozen=True, array_like=True):
    ok: bool
    body: Raw  # of an error that of `ErrorBody`


_question: Final = msgspec.msgpack.Decoder(_Question)
_answer: Final = msgspec.msgpack.Decoder(_Answer)
_error: Final = msgspec.msgpack.Decoder(ErrorBody)


def pack(message: Struct, limit: int) -> bytes:
    """Return a message as it travels.

    Raises:
        ControlError: it is longer than the servers take (code `too_large`).
    """
    data = zlib.compress(_encode(message), LEVEL)
    if len(data) > limit - RESERVE:
        text = f"the request or its answer has {len(data)} bytes, and the cluster's servers take {limit}"
        raise ControlError("too_large", f"{text}; ask the learning service that leads, or raise max_payload")
    return data


def unpack(data: bytes, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:
    """Return what was packed.

    Raises:
        InvalidInputError: it is something else.
    """
    try:
        return decode(decoder, zlib.decompress(data))
    except zlib.error as error:
        raise InvalidInputError(str(error)) from None


class Asker:
    """Passes requests on to whoever leads; used in the loop's thread."""

    def __init__(self, connection: Connection) -> None:
        """Ask nothing yet."""
        self._connection = connection
        self._open: set[Future[Any]] = set()
        self._is_closed = False

    def ask(self, method: str, params: Raw, role: Role) -> Steps[object]:
        """Return the leader's answer.

        Raises:
            ControlError: it is an error, or there is none (code `unavailable`).
        """
        if self._is_closed or not self._connection.is_connected:
            raise ControlError("unavailable", NOBODY)
        data = pack(_Question(method, params, role), self._connection.client.max_payload)
        future = self._connection.submit(self._request(data))
        self._open.add(future)
        try:
            answer: _Answer = unpack((yield from wait(future)), _answer)
        except CancelledError:
            text = f"who leads is changing, and whether {method} was done is not known; ask again"
            raise ControlError("unavailable", text) from None
        except (nats.errors.TimeoutError, TimeoutError):
            text = f"the learning service that leads has not answered within {ANSWER_SECONDS:g} s"
            raise ControlError("unavailable", f"{text}; whether {method} was done is not known") from None
        except (nats.errors.Error, InvalidInputError) as error:
            raise ControlError(
                "unavailable", f"the learning service that leads cannot be asked: {told(error)}"
            ) from None
        finally:
            self._open.discard(future)
        if not answer.ok:
            raise ControlError.of(decode(_error, bytes(answer.body)))
        return answer.body

    def close(self) -> None:
        """Answer what waits: somebody else may lead soon."""
        self._is_closed = True
        for future in list(self._open):
            future.cancel()

    async def _request(self, data: bytes) -> bytes:
        """Ask until somebody listens: when a leader is gone, that takes some seconds."""
        until = time.monotonic() + LEADER_SECONDS
        while True:
            try:
                reply = await self._connection.client.request(names.ASK, data, timeout=ANSWER_SECONDS)
            except nats.errors.NoRespondersError:
                if time.monotonic() > until:
                    raise ControlError("unavailable", NOBODY) from None
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return reply.data


class Answerer:
    """Answers, at the leader, what was passed on."""

    def __init__(self, connection: Connection, loop: Loop, methods: MethodServer) -> None:
        """Begin to listen."""
        self._connection, self._loop, self._methods = connection, loop, methods
        self._working = 0
        self._subscription = connection.submit(self._subscribe())

    def close(self) -> None:
        """Listen no more."""
        self._connection.submit(self._unsubscribe())

    async def _subscribe(self) -> Subscription:
        return await self._connection.client.subscribe(names.ASK, cb=self._take)

    async def _unsubscribe(self) -> None:
        subscription = await asyncio.wrap_future(self._subscription)
        if not self._connection.client.is_closed:
            await subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        self._loop.call(partial(self._begin, message))

    def _begin(self, message: Msg) -> None:
        try:
            question: _Question = unpack(message.data, _question)
        except InvalidInputError as error:
            self._reply(message, _refusal(ControlError("invalid_request", str(error))))
            return
        if self._working >= AT_ONCE:
            text = f"{AT_ONCE} requests are being worked on; ask again soon"
            self._reply(message, _refusal(ControlError("unavailable", text)))
            return
        self._working += 1
        self._loop.start(self._work(message, question))

    def _work(self, message: Msg, question: _Question) -> Steps[None]:
        frames = [b"", question.method.encode(), bytes(question.params)]
        answer = _refusal(
            ControlError("unavailable", "the learning service led no more; whether it was done is not known")
        )
        try:
            reply: list[Frame] = yield from self._methods.steps(frames, question.role)
            answer = _Answer(reply[1] == b"ok", Raw(bytes(reply[2])))
        finally:
            self._working -= 1
            self._reply(message, answer)

    def _reply(self, message: Msg, answer: _Answer) -> None:
        limit = self._connection.client.max_payload
        try:
            data = pack(answer, limit)
        except ControlError as error:
            data = pack(_refusal(error), limit)
        self._connection.submit(message.respond(data))


def _refusal(error: ControlError) -> _Answer:
    body = ErrorBody(code=error.code, message=error.message, details=error.details)
    return _Answer(False, Raw(_encode(body)))
