"""The connection of a browser: how long it may take to send a request or to read the reply; how many there may be."""

import asyncio
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from variantbus.dashboard.guard import reply_bytes

CONNECTIONS: Final = 600  # 500 pages that are open, and what they ask meanwhile
REFUSED: Final = 100  # more that are told so; further ones are reset, as each takes a file descriptor
REQUEST_SECONDS: Final = 15.0  # from the beginning of a request to the end of its body
READ_SECONDS: Final = 60.0  # in which a browser reads something of a reply that waits for it
LINGER_SECONDS: Final = 2.0  # for a browser to read that it was refused, while it may still send


class Connection(H11Protocol):
    """Ends a connection whose request is not whole in time, whose reply is not read, or that is one too many.

    uvicorn itself bounds only the time between two requests.
    """

    _deadline: asyncio.TimerHandle | None = None  # of the request that arrives
    _stalled: asyncio.TimerHandle | None = None  # set while the browser does not read
    _is_over = False  # it was refused, and what it still sends is dropped

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > CONNECTIONS + REFUSED:
            self.transport.abort()
        elif len(self.connections) > CONNECTIONS:
            self._end(503, "too many connections; close some pages")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        for timer in (self._deadline, self._stalled):
            if timer:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if not self._is_over:
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """Go on with the next request, which may have begun to arrive."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._watch()

    def pause_writing(self) -> None:
        """Wait for the browser to read, but not without end."""
        super().pause_writing()
        self._stalled = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: it has read."""
        super().resume_writing()
        if self._stalled:
            self._stalled.cancel()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose browser has not read the last reply."""
        super().timeout_keep_alive_handler()
        self.transport.abort()

    def send_400_response(self, _msg: str) -> None:
        """Answer what is no HTTP; uvicorn's own answer would fail where another one has begun."""
        self._end(400, "this is no HTTP request")

    def _watch(self) -> None:
        """Set a deadline while a request is expected or arrives."""
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            if self._deadline is None:
                self._deadline = self.loop.call_later(REQUEST_SECONDS, self._give_up)
        elif self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        """End a request that is not complete; where nothing came at all, as browsers connect in advance, just close."""
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self.transport.abort()
        else:
            self._end(408, "the request is not complete")

    def _end(self, status: int, text: str) -> None:
        """Answer with an error, unless an answer has begun, and close.

        Data that is not read would make the system reset the connection, and the browser would not see the answer.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True  # it sends nothing any more
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(reply_bytes(status, text))
        self._is_over = True
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)
