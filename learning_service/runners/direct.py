"""Runners that are reached by their own sockets."""

from bus.config.limits import Limits
from bus.subscriber import source
from bus.subscriber.delivery import Start
from bus.subscriber.sync import Subscriber
from bus.transport.client import RequestClient
from bus.transport.keys import Keys, curve_for
from bus.transport.loop import Loop
from learning_service.experiments.selection import Selection
from learning_service.runners.reaching import Positions, Receiver
from learning_service.storage.store import LearningStore


class Direct:
    """Each runner by its own control socket and its own feed."""

    def __init__(self, selection: Selection, keys: Keys | None) -> None:
        """Open nothing yet.

        Raises:
            InvalidInputError: the keys do not say which key a runner has.
        """
        self._selection, self._keys = selection, keys
        self._curves = {runner: curve_for(keys, runner) for runner in selection.runners}

    beside = None
    help = source.HELP

    @property
    def addresses(self) -> list[str]:
        """The control addresses."""
        return self._selection.runners

    def open(self, store: LearningStore) -> None:
        """Do nothing: runners know what they have."""

    def client(self, loop: Loop, address: str) -> RequestClient:
        """Return a new client of one of them."""
        return RequestClient(loop, address, self._curves[address])

    def subscribe(self, loop: Loop, receiver: Receiver, positions: Positions, limits: Limits) -> Subscriber:
        """Follow all of them from the stored positions on."""
        return Subscriber(
            self._selection.runners,
            self._selection.prefixes(),
            start=Start.BEGINNING,
            positions=positions,
            loop=loop,
            on_batch=receiver.on_batch,
            on_notice=receiver.on_notice,
            limits=limits,
            keys=self._keys,
            feed=self._selection.feeds,
        )
