"""The part of all experiments that one learning service follows, and the runners that it follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bus.contracts.topics import JOB_COMPLETED, JOB_PROGRESS, JOB_QUEUED, JOB_SCORED, JOB_STARTED
from bus.protocol import topics
from learning_service.experiments.axes import MAX_VARIANTS
from learning_service.experiments.sharding import ALL, Shard

FOLLOWED: Final = (JOB_QUEUED, JOB_STARTED, JOB_COMPLETED, JOB_PROGRESS, JOB_SCORED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What one service follows: everything, unless experiments or variants are named.

    `runners` are control addresses; `feeds` names the feeds that are not where their runners say.
    """

    experiments: tuple[str, ...] = ()
    variants: tuple[int, ...] = ()
    discover: bool = False
    max_variants: int = MAX_VARIANTS
    shard: Shard = ALL
    runners: list[str] = field(default_factory=list)
    feeds: str | Mapping[str, str] = ""

    def prefixes(self) -> list[str]:
        """Return the topics to subscribe to, so that libzmq filters at the publisher."""
        if not self.experiments:
            return ["job."]
        if not self.variants:
            return [topics.build(base, name) for base in FOLLOWED for name in self.experiments]
        return [
            topics.build(base, name, index) for base in FOLLOWED for name in self.experiments for index in self.variants
        ]
