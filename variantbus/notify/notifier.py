"""The notifier: reads the states of experiments, notes what is news, and sends it when it is its turn."""

import logging
import time
from pathlib import Path

from bus.config.settings import NotifySettings
from bus.contracts.messages import ExperimentDeleted, ExperimentStatus, RecommendationUpdated
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.subscriber.delivery import Delivery
from bus.transport.keys import Keys
from variantbus.client.experiments import ask_recommendation, shown
from variantbus.notify.news import Message, Told, holding, message_of, news
from variantbus.notify.outbox import DAY_SECONDS, Outbox, Waiting
from variantbus.notify.sending import send
from variantbus.notify.targets import FOLDER, Target, forget, targets
from variantbus.notify.targets import shown as shown_url

logger = logging.getLogger(__name__)


class Notifier:
    """Tells people of the experiments of one learning service."""

    def __init__(
        self, data_dir: Path, outbox: Outbox, for_all: NotifySettings | None, learning: str, keys: Keys | None
    ) -> None:
        """Begin; of what had ended before only those are told whom the experiment's own file names."""
        self._data_dir, self._outbox, self._for_all = data_dir, outbox, for_all
        self._learning, self._keys = learning, keys
        self._began = 0.0 if outbox.positions() else time.time()

    def read(self, event: Delivery) -> None:
        """Note what an event has of news."""
        try:
            message = event.message
        except InvalidInputError as error:
            logger.error("offset %d: cannot be read: %s", event.offset, error)  # noqa: TRY400 - a sentence suffices
            return
        match message:
            case ExperimentDeleted(experiment_id=experiment_id):
                self._outbox.forget(event, experiment_id)
                forget(self._data_dir, experiment_id)
            case ExperimentStatus() as status:
                known, now = self._outbox.told(status.experiment_id), time.time()
                own = (self._data_dir / FOLDER / f"{status.experiment_id}.json").exists()
                if known is None and status.updated_at < self._began and not own:
                    told = Told(kinds=holding(status))
                    self._outbox.note(event, status.experiment_id, told, (), (), now)
                    return
                kinds, told = news(status, known or Told(), now)
                if told != known:
                    wanted = [key for key, one in self._targets(status.experiment_id).items() if one.on & set(kinds)]
                    self._outbox.note(event, status.experiment_id, told, kinds, wanted, now)

    def send_due(self) -> bool:
        """Send the message whose turn it is; return whether there was one."""
        now = time.time()
        waiting = self._outbox.due(now)
        if waiting is None:
            return False
        target = self._targets(waiting.experiment_id).get(waiting.target)
        try:
            message = self._message(waiting, target) if target else None
        except ControlError as error:
            if error.code == "not_found":
                self._outbox.remove(waiting)
            else:
                self._later(waiting, now, error.message)
            return True
        if target is None or message is None:  # nobody wants it any more, or it is no longer true
            self._outbox.remove(waiting)
        elif problem := send(target.url, message):
            self._later(waiting, now, f"{shown_url(target.url)}: {problem}")
        else:
            self._outbox.remove(waiting)
            logger.info("told %s of %s: %s", shown_url(target.url), waiting.experiment_id, ", ".join(waiting.kinds))
        return True

    def _message(self, waiting: Waiting, target: Target) -> Message | None:
        view = shown(self._learning, waiting.experiment_id, self._keys)
        kinds = tuple(kind for kind in waiting.kinds if kind in target.on)
        errors = [(one.updated_at, one.error) for one in view.variants if one.error]
        return message_of(kinds, view, self._answer(waiting.experiment_id), max(errors)[1] if errors else None)

    def _answer(self, experiment_id: str) -> RecommendationUpdated | None:
        try:
            return ask_recommendation(self._learning, experiment_id, self._keys)
        except ControlError as error:
            if error.code == "unavailable":
                raise
            return None

    def _later(self, waiting: Waiting, now: float, why: str) -> None:
        if now > waiting.made_at + DAY_SECONDS:
            logger.error("%s: nobody could be told for a day, which is given up: %s", waiting.experiment_id, why)
            self._outbox.remove(waiting)
            return
        logger.warning("%s: nobody was told, which is tried again: %s", waiting.experiment_id, why)
        self._outbox.postpone(waiting, now)

    def _targets(self, experiment_id: str) -> dict[str, Target]:
        return targets(self._data_dir, experiment_id, self._for_all)
