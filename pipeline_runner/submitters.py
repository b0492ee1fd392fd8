"""Which learning services submit jobs here, and which experiments two of them have. No socket, no file, no clock."""

from dataclasses import dataclass
from typing import Final

from bus.contracts.jobs import SubmittersParams

SILENT_SECONDS: Final = 30.0  # after which one that announced itself is forgotten
MOST: Final = 100  # the ones known at a time; each names a bounded number of experiments


@dataclass(slots=True)
class _Submitter:
    control: str
    experiments: set[str]
    first: float
    last: float


class Submitters:
    """The learning services that have announced themselves in the last seconds."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[str, _Submitter] = {}

    def announce(self, params: SubmittersParams, now: float) -> dict[str, list[str]]:
        """Record a learning service, and return which of its experiments others have: experiment -> their addresses.

        `now`: monotonic seconds. Another one counts if it has spoken since this one first did: so the two run at the
        same time, and it is not this one before its restart.
        """
        known = {name: one for name, one in self._known.items() if now - one.last <= SILENT_SECONDS}
        me = known.pop(params.instance, None) or _Submitter("", set(), now, now)
        me.control, me.experiments, me.last = params.control, set(params.experiments), now
        shared: dict[str, list[str]] = {}
        for other in known.values():
            for experiment_id in me.experiments & other.experiments if other.last >= me.first else ():
                shared.setdefault(experiment_id, []).append(other.control)
        newest = list(known.items())[-(MOST - 1) :]
        self._known = {**dict(newest), params.instance: me}
        return {experiment_id: sorted(set(shared[experiment_id])) for experiment_id in sorted(shared)}
