"""What all runners of a cluster offer together, as if they were one. No socket, no clock."""

from collections.abc import Iterable
from typing import Final

from bus.cluster.messages import Announcement
from bus.contracts.jobs import LaneView, PipelinesReply
from bus.contracts.pipeline_specs import StageSpec

ROOM: Final = 1_000_000  # more jobs of each pipeline: those that wait are in the cluster, not at a runner


def together(announcements: Iterable[Announcement]) -> PipelinesReply:
    """Return the union of what they offer; of equal stages one that is available is preferred."""
    offers = [one.offers for one in sorted(announcements, key=lambda one: one.runner)]
    stages: dict[str, dict[str, StageSpec]] = {}
    lanes: dict[str, LaneView] = {}
    for offer in offers:
        for pipeline, specs in offer.pipelines.items():
            mine = stages.setdefault(pipeline, {})
            for stage, spec in specs.items():
                if stage not in mine or (mine[stage].unavailable and not spec.unavailable):
                    mine[stage] = spec
        for pipeline, lane in offer.lanes.items():
            lanes[pipeline] = _joined(lanes.get(pipeline), lane)
    return PipelinesReply(
        pipelines=stages,
        outputs="",  # of no machine
        queued=sum(offer.queued for offer in offers),
        running=sum(offer.running for offer in offers),
        paused=all(offer.paused for offer in offers),
        lanes=lanes,
        scorers={name: spec for offer in reversed(offers) for name, spec in offer.scorers.items()},
    )


def _joined(some: LaneView | None, lane: LaneView) -> LaneView:
    """Return the lanes of one pipeline as one: it waits if each of them does."""
    return LaneView(
        queued=lane.queued + (some.queued if some else 0),
        running=lane.running + (some.running if some else 0),
        concurrency=lane.concurrency + (some.concurrency if some else 0),
        room=ROOM,
        paused=lane.paused and (some is None or some.paused),
        waits_for=lane.waits_for if some is None or some.waits_for else "",
    )
