"""Why the jobs of a pipeline wait: the runner is asked in the background, and following never depends on it."""

from collections.abc import Callable
from typing import Final

from bus.contracts.jobs import PipelinesReply
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import RequestClient, request
from bus.transport.keys import Keys, curve_for
from bus.transport.loop import Loop

ASK_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 0.5
SILENCES: Final = 2  # failed requests in a row: a runner may be busy for a moment


class Reason:
    """Why the jobs of a pipeline wait, from the answers of its runner or their absence; no socket."""

    def __init__(self, runner: str) -> None:
        """Nothing is known yet."""
        self.text = ""
        self._silence, self._silences = silence_of(runner), 0

    def hear(self, text: str) -> None:
        """Record an answer, "" if nothing waits."""
        self.text, self._silences = text, 0

    def miss(self) -> None:
        """Record that no answer came."""
        self._silences += 1
        if self._silences >= SILENCES:
            self.text = self._silence

    def note_progress(self) -> None:
        """Record that jobs make progress: a runner that does not answer may have none of them."""
        self._silences = 0
        if self.text == self._silence:
            self.text = ""


class ReasonWatch:
    """Asks a runner periodically why it starts no job of a pipeline."""

    def __init__(self, loop: Loop, runner: str, pipeline: Callable[[], str], keys: Keys | None = None) -> None:
        """Ask at once, and every two seconds; `pipeline` gives its name, "" while that is not known.

        Raises:
            InvalidInputError: the keys do not say which key the runner has.
        """
        self.reason = Reason(runner)
        self._pipeline = pipeline
        self._client = RequestClient(loop, runner, curve_for(keys, runner))
        self._timer = loop.every(ASK_SECONDS, self._ask)
        self._ask()

    def close(self) -> None:
        """Stop asking."""
        self._timer.cancel()
        self._client.close()

    def _ask(self) -> None:
        self._client.ask("pipelines", {}, PipelinesReply, self._hear, self._miss, ANSWER_SECONDS)

    def _hear(self, reply: PipelinesReply) -> None:
        self.reason.hear(reason_in(reply, self._pipeline()))

    def _miss(self, error: ControlError) -> None:
        if error.code == "unavailable":  # an error reply also shows that it is running
            self.reason.miss()


def reason_now(runner: str, pipeline: str, keys: Keys | None = None) -> str:
    """Return why a runner starts no job of a pipeline, from one request; "" if it does, or cannot be asked."""
    try:
        return reason_in(request(runner, "pipelines", {}, PipelinesReply, ANSWER_SECONDS, keys=keys), pipeline)
    except ControlError as error:
        return silence_of(runner) if error.code == "unavailable" else ""
    except InvalidInputError:  # its key is not known here; the experiment is
        return ""


def reason_in(reply: PipelinesReply, pipeline: str) -> str:
    """Return why the jobs of a pipeline wait, according to an answer; "" if they do not."""
    lane = reply.lanes.get(pipeline)
    return lane.waits_for if lane else ""


def silence_of(runner: str) -> str:
    """Return the reason for a runner that does not answer."""
    return f"the runner at {runner} does not answer"
