"""The health of each process, from its control socket."""

from typing import Final

from msgspec import Struct

from bus.console.services import NAMES, wrong_service
from bus.protocol.control import ControlError, Metric, MetricsReply
from bus.transport.client import request
from bus.transport.keys import Keys
from variantbus.reports.health import NOT_ANSWERING, Problem, Readings, Thresholds, problems_of

WRONG_SERVICE: Final = "wrong_service"


class Health(Struct, frozen=True, kw_only=True):
    """The answer of one process, and its problems."""

    service: str
    address: str
    answers: bool
    version: str | None
    problems: list[Problem]
    metrics: list[Metric]


def ask(name: str, address: str, thresholds: Thresholds, timeout: float, keys: Keys | None = None) -> Health:
    """Return the health of one process; one that does not answer, or refuses to, is a problem and no error."""
    try:
        reply = request(address, "metrics", {}, MetricsReply, timeout, keys=keys)
    except ControlError as error:
        code = NOT_ANSWERING if error.code == "unavailable" else error.code
        problems = [Problem(code=code, detail=error.message)]
        answers = code != NOT_ANSWERING
        return Health(service=name, address=address, answers=answers, version=None, problems=problems, metrics=[])
    problems = problems_of(Readings(reply.metrics), thresholds)
    if name in NAMES and reply.service in NAMES and reply.service != name:
        problems.insert(0, Problem(code=WRONG_SERVICE, detail=wrong_service(reply.service, name)))
    return Health(
        service=reply.service,
        address=address,
        answers=True,
        version=reply.version,
        problems=problems,
        metrics=reply.metrics,
    )
