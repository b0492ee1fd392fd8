"""Everything at once in a cluster: whoever dies or is paused, each job has one end, and is counted once.

`make cluster-chaos` runs it for five minutes with 600 jobs. The seed is in the failure; CLUSTER_CHAOS_SEED repeats its
sequence of faults, though not to the millisecond, as processes take their own time.
"""

import os
import random
import time
from typing import Final

import pytest

from tests.support.cluster_cast import BEYOND_ACK_SECONDS, ClusterCast
from tests.support.cluster_services import Shape
from tests.support.helpers import wait_until
from tests.support.nats_servers import NatsServers
from tests.support.workspace import Workspace

SECONDS: Final = float(os.environ.get("CLUSTER_CHAOS_SECONDS", "40"))
SEED: Final = int(os.environ.get("CLUSTER_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
VALUES: Final = (0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds that a job takes
IS_LONG: Final = SECONDS >= 240  # long enough for a job that kills its runners, which takes minutes
SHAPE: Final = Shape(12, VALUES, 5) if IS_LONG else Shape(4, VALUES[:8], 2)
DRAIN_SECONDS: Final = 2 * BEYOND_ACK_SECONDS + SECONDS  # until all jobs have ended: those that are left have to run
RUNNERS: Final = 4
LEARNERS: Final = 2


@pytest.mark.exhaustive
@pytest.mark.timeout(420 + 3 * SECONDS)
def test_whatever_dies_each_job_ends_once_and_is_counted_once(workspace: Workspace, nats_cluster: NatsServers) -> None:
    """Servers, runners and learning services are killed and paused, leaders too, two and all servers at once.

    Jobs fail, experiments are cancelled while theirs run, and in the long run one job kills its runners.
    """
    chance = random.Random(SEED)  # noqa: S311 - it can be repeated
    cast = ClusterCast(workspace, nats_cluster, chance)
    try:
        cast.start(runners=RUNNERS, learners=LEARNERS)
        while len(cast.accepted()) < SHAPE.experiments // 2:
            cast.plan(SHAPE)
        cast.cancel()
        begin = time.monotonic()
        while (now := time.monotonic() - begin) < SECONDS:
            if len(cast.begun) < SHAPE.experiments and now >= len(cast.begun) * SECONDS / SHAPE.experiments:
                cast.plan(SHAPE)
            if IS_LONG and now > SECONDS / 3:
                cast.plan_deadly()
            if not cast.was_emptied and now > SECONDS / 2:
                cast.empty_a_node()
            cast.act()
            time.sleep(
                chance.uniform(0.2, 2.0)
            )  # faults have no condition to wait for: their pace is part of the chance
        cast.heal()
        recovery = cast.recover()
        if IS_LONG:
            wait_until(cast.plan_deadly, DRAIN_SECONDS, what="a plan of the deadly job")
        cast.fill_up(SHAPE, SHAPE.experiments + IS_LONG)
        drained = cast.drain(DRAIN_SECONDS)
        cast.settle()
        cast.check_kinds()
        ends, told = cast.check_all()
        assert ends >= SHAPE.jobs
        print(  # noqa: T201 - `make cluster-chaos` shows it
            f"CLUSTER_CHAOS_SEED={SEED}, {SECONDS:g} s: {cast.summary()}; {told}; recovered after {recovery:.1f} s, "
            f"all done {drained:.1f} s later; none lost, none twice"
        )
    except BaseException:
        print(f"CLUSTER_CHAOS_SEED={SEED}: {cast.history}")  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        cast.close()
