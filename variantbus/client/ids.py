"""The ids of experiments and jobs, found from what a person types: the beginning of one, or a word for the newest."""

from typing import Final, NamedTuple

from bus.contracts.experiments import ExperimentParams
from bus.contracts.finding import FindParams, FindReply
from bus.contracts.jobs import JobParams
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError, closest
from bus.transport.client import REQUEST_SECONDS, request
from bus.transport.keys import Keys

NEWEST: Final = ("-", "last")
LONGEST: Final = 128  # characters of an id
CANDIDATES: Final = 10  # named in a sentence
LOOKED_AT: Final = 1000  # newest ids among which one that was mistyped is looked for


class Kind(NamedTuple):
    """What has ids: its name, the service that knows them, and how that is asked."""

    name: str
    service: str  # also the option with its address
    find: str
    show: str
    start: str

    def params(self, one: str) -> ExperimentParams | JobParams:
        """Return the parameters of `show`."""
        return ExperimentParams(experiment_id=one) if self.service == "learning" else JobParams(job_id=one)


EXPERIMENTS: Final = Kind(
    "experiment", "learning", "experiment.find", "experiment.show", "variantbus experiment run FILE"
)
JOBS: Final = Kind("job", "runner", "job.find", "job.show", "variantbus job submit FILE")


def resolved(kind: Kind, address: str, typed: str, keys: Keys | None) -> str:
    """Return the id that is meant: the whole one, one that alone begins so, or with `-` or `last` the newest.

    Raises:
        ControlError: there is none (code `not_found`), with the one that is most like it.
        InvalidInputError: several begin so, or what was typed can be no id.
    """
    found: list[str] = []
    if 0 < len(typed) <= LONGEST:
        try:
            found = found_ids(kind, address, keys, prefix=typed, limit=CANDIDATES + 1)
        except ControlError as error:
            if error.code != "unknown_method" or error.details.get("service", kind.service) != kind.service:
                raise
            return typed  # an earlier version, which finds nothing
    if typed in found:
        return typed
    if typed in NEWEST:
        return _newest(kind, address, keys)
    if len(found) > 1:
        more = " …" if len(found) > CANDIDATES else ""
        listed = ", ".join(found[:CANDIDATES])
        raise InvalidInputError(f"{typed}: several {kind.name}s begin so, write more of one: {listed}{more}")
    if not found:
        _explain_absence(kind, address, typed, keys)
    return found[0] if found else typed


def found_ids(
    kind: Kind,
    address: str,
    keys: Keys | None,
    *,
    prefix: str = "",
    limit: int = LOOKED_AT,
    timeout: float = REQUEST_SECONDS,
) -> list[str]:
    """Return ids that begin with a prefix; without one the newest, newest first."""
    params = FindParams(prefix=prefix, limit=limit)
    return request(address, kind.find, params, FindReply, timeout, keys=keys).ids


def _newest(kind: Kind, address: str, keys: Keys | None) -> str:
    newest = found_ids(kind, address, keys, limit=1)
    if not newest:
        raise ControlError("not_found", f"there is no {kind.name} yet; start one with `{kind.start}`")
    return newest[0]


def _explain_absence(kind: Kind, address: str, typed: str, keys: Keys | None) -> None:
    """Raise what the service says of an id that it does not know, with the id that was perhaps meant."""
    try:
        request(address, kind.show, kind.params(typed), dict, keys=keys)
    except ControlError as error:
        meant = closest(typed, found_ids(kind, address, keys)) if "was not found" in error.message else ""
        if not meant:
            raise
        raise ControlError("not_found", f"{kind.name} {typed!r} was not found; did you mean {meant}?") from None
