"""The connection to a cluster: a thread with asyncio, to which the loop of a service gives work."""

import asyncio
import logging
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import nats
import nkeys
from nats.aio.client import Client
from nats.js import JetStreamContext

from bus.cluster import tasks
from bus.cluster.access import Access
from bus.cluster.errors import ClusterError, ClusterRefusedError, told
from bus.telemetry.logging import RepeatFilter

R = TypeVar("R")
Work = Coroutine[Any, Any, R]
CONNECT_SECONDS: Final = 2
RECONNECT_SECONDS: Final = 1
PING_SECONDS: Final = 2  # two without an answer: the server is gone, or paused
JETSTREAM_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
USER: Final = b"-----BEGIN NATS USER JWT-----"
SEED: Final = b"-----BEGIN USER NKEY SEED-----"
logger = logging.getLogger(__name__)
logger.addFilter(RepeatFilter())
# asyncio's words for each end of a TLS connection of nats-py, of which nobody can make use
logging.getLogger("asyncio").addFilter(lambda record: "eof_received() has no effect" not in str(record.msg))


class _Client(Client):
    """That of nats-py, which goes to another server at once, whatever is still on its way to the one before."""

    async def _attempt_reconnect(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer:  # it would be closed in good order, which takes a server that is paused or cut off for ever
            writer.transport.abort()
        with suppress(asyncio.InvalidStateError):  # of two attempts that are given up at once, both say so
            await super()._attempt_reconnect()

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        try:
            return await super()._flush_pending(force_flush)
        except AttributeError as error:  # what it writes to has gone just now; whoever asks is to try again
            raise nats.errors.ConnectionReconnectingError from error


class Connection:
    """A connection that is made again whenever it breaks. `submit` and `run` may be called in any thread but its own.

    Attributes:
        name: Of the client, for those who look at the servers.
        client, js: For coroutines that were submitted, and for no others.
    """

    def __init__(self, access: Access, name: str) -> None:
        """Begin to connect; nothing has to answer yet.

        Raises:
            ClusterRefusedError: the credentials or the certificates cannot be read.
        """
        self.name, self._access = name, access
        self.client: Client = _Client()
        self.js: JetStreamContext = self.client.jetstream(timeout=JETSTREAM_SECONDS)
        self._settings = settings_of(access)
        self._is_ready = Future[None]()
        self._is_closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)
        self._thread.start()
        self.submit(self._connect())

    @property
    def is_connected(self) -> bool:
        """Whether a server answers now."""
        return self.client.is_connected

    def submit(self, work: Work[R]) -> Future[R]:
        """Begin work and return its future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Work[R], seconds: float) -> R:
        """Do work and wait for its result.

        Raises:
            ClusterError: there is no result after so many seconds; whether it was done is not known.
        """
        future = self.submit(work)
        try:
            return future.result(seconds)
        except CancelledError:  # by nats-py, which cancels what it waits for when a connection breaks and is closed
            raise ClusterError("it was given up") from None
        except TimeoutError:  # ours, or one of the work itself, which waits for answers too
            limit = f" within {seconds:g} s" if future.cancel() else ""
            raise ClusterError(f"the cluster has not answered{limit}") from None

    async def ready(self) -> None:
        """Wait until the first connection is there."""
        await asyncio.shield(asyncio.wrap_future(self._is_ready))  # who gives up waiting ends no wait of others

    def close(self) -> None:
        """Close the connection and end the thread, once; what was submitted and has not ended is cancelled."""
        if self._is_closing:
            return
        self._is_closing = True
        try:
            self.run(self._close(), CLOSE_SECONDS)
        except ClusterError:
            logger.debug("the connection to the cluster did not close in time")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._end_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _connect(self) -> None:
        while True:
            try:
                await self.client.connect(
                    list(self._access.servers),
                    name=self.name,
                    connect_timeout=CONNECT_SECONDS,
                    reconnect_time_wait=RECONNECT_SECONDS,
                    max_reconnect_attempts=-1,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=2,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnected,
                    reconnected_cb=self._on_reconnected,
                    **self._settings,
                )
            except (OSError, nats.errors.Error, TimeoutError) as error:
                await self._on_error(error)
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                self._is_ready.set_result(None)
                return

    async def _close(self) -> None:
        if not self.client.is_closed:
            try:
                await self.client.close()
            except Exception as error:  # noqa: BLE001 - what a transport raises that breaks just now; it ends anyway
                logger.debug("the connection to the cluster was not closed in good order: %r", error)

    async def _end_all(self) -> None:
        """Cancel all work, and let go of the transport."""
        current = asyncio.current_task()
        await tasks.end(lambda: asyncio.all_tasks() - {current})
        if self.client._transport:  # noqa: SLF001 - of an attempt that was cancelled
            self.client._transport.close()  # type: ignore[no-untyped-call]  # noqa: SLF001
            await asyncio.sleep(0)

    async def _on_error(self, error: Exception) -> None:
        if self.client.is_connected:
            logger.warning("cluster: %s", told(error))
        else:
            servers = ", ".join(self._access.servers)
            logger.warning("cluster: a server of %s cannot be used: %s; trying the next", servers, told(error))
        transport = self.client._transport  # noqa: SLF001 - nats-py forgets it when a server accepts and says nothing
        if transport and not self.client.is_connected:
            transport.close()  # type: ignore[no-untyped-call]  # it has no types

    async def _on_disconnected(self) -> None:
        if not self._is_closing:
            logger.warning("the connection to the cluster is lost; trying again")

    async def _on_reconnected(self) -> None:
        logger.info("connected to the cluster again")


def settings_of(access: Access) -> dict[str, Any]:
    """Return what nats-py is told of credentials and certificates.

    Raises:
        ClusterRefusedError: they cannot be read.
    """
    found: dict[str, Any] = {"inbox_prefix": access.inbox.encode()}
    if access.credentials:
        found[_kind(access.credentials)] = str(access.credentials)
    if access.ca:
        found["tls"] = _tls(access.ca)
    return found


def _kind(credentials: Path) -> str:
    """Return which of the two kinds of credentials nats-py is given."""
    try:
        data = credentials.read_bytes()
    except OSError as error:
        raise ClusterRefusedError(f"cluster: {credentials} cannot be read: {error.strerror}") from None
    if USER in data and SEED in data:
        return "user_credentials"
    try:
        nkeys.from_seed(bytearray(data.strip()))
    except (nkeys.NkeysError, ValueError):
        text = "is no file of credentials, and no seed of an nkey"
        raise ClusterRefusedError(f"cluster: {credentials} {text}; `variantbus cluster config` makes some") from None
    return "nkeys_seed"


def _tls(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise ClusterRefusedError(f"cluster: {ca} has no certificates that can be read: {error}") from None
