"""How runners are reached: what asks one of them, and what their events come by."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bus.config.limits import Limits
from bus.contracts.messages import Message
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError
from bus.protocol.recovery import Notice
from bus.subscriber.delivery import Delivery, Position
from bus.telemetry.metrics import Point
from bus.transport.client import REQUEST_SECONDS
from bus.transport.loop import Loop
from learning_service.storage.store import LearningStore

R = TypeVar("R")
Beside = Callable[[Transaction, Sequence[Delivery]], None]
Positions = Mapping[tuple[str, str], Position]


class Client(Protocol):
    """What asks one runner; `bus.transport.client.RequestClient` is one."""

    address: str

    def ask(
        self,
        method: str,
        params: object,
        reply: type[R],
        on_reply: Callable[[R], None],
        on_error: Callable[[ControlError], None],
        timeout: float = REQUEST_SECONDS,
    ) -> None:
        """Send a request, which ends with exactly one of its two callbacks unless the client is closed before."""

    def answer(self, method: str, params: object, reply: type[R], timeout: float = REQUEST_SECONDS) -> Future[R]:
        """Send a request, as `ask` does, and return the future of its reply, for work in steps."""

    def close(self) -> None:
        """Drop all requests without a callback."""


class Subscription(Protocol):
    """What the events of all runners come by; `bus.subscriber.sync.Subscriber` is one."""

    @property
    def ready(self) -> bool:
        """Whether all of them are followed now."""

    def pause(self) -> None:
        """Take no more for now, but what is under way."""

    def resume(self) -> None:
        """Go on after `pause`."""

    def points(self) -> Iterator[Point]:
        """Yield the metrics."""

    def close(self) -> None:
        """Stop; what was not received yet is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Who takes what comes by a subscription: all in the thread of the loop.

    `on_batch` takes events in the order of their log, `on_news` those that have no place in one and may be lost,
    `on_notice` the runner and the prefix of a gap.
    """

    on_batch: Callable[[list[Delivery]], None]
    on_news: Callable[[list[Message]], None]
    on_notice: Callable[[str, str, Notice], None]


class Runners(Protocol):
    """All runners that a learning service follows and sends jobs to."""

    @property
    def addresses(self) -> list[str]:
        """The names by which the store knows them."""

    @property
    def beside(self) -> Beside | None:
        """What writes more of events than their positions, in the transaction that applies them."""

    @property
    def help(self) -> dict[str, str]:
        """What the metrics of a subscription mean."""

    def open(self, store: LearningStore) -> None:
        """Learn what is planned, before anything else is asked for."""

    def client(self, loop: Loop, address: str) -> Client:
        """Return a new client of one of them."""

    def subscribe(self, loop: Loop, receiver: Receiver, positions: Positions, limits: Limits) -> Subscription:
        """Follow all of them from the stored positions on."""
