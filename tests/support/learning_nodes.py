"""Learning services of a cluster as processes, and what their files have in them."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from bus.eventlog import schemas
from bus.eventlog.log import SQL
from bus.protocol.control import ControlError, MetricsReply
from bus.transport.client import request
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers
from tests.support.workspace import ServiceProcess, Workspace, steady_ports, view_of

TAKEOVER_SECONDS: Final = 3 * PATIENCE
LOOK_SECONDS: Final = 0.5
PLACES: Final = "ledger_places"  # the table


class LearningNode(ServiceProcess):
    """One learning service of a cluster."""

    def __init__(
        self, workspace: Workspace, nats: NatsServers, data: Path, *, module: str = "learning_service"
    ) -> None:
        """Start it with a folder of its own."""
        super().__init__(workspace, module, ("--cluster", nats.url), steady_ports(), data)

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels; -1 if it does not answer."""
        try:
            # a request that comes while it changes its place is lost
            metrics = request(self.control, "metrics", {}, MetricsReply, LOOK_SECONDS * TIME_FACTOR).metrics
        except ControlError:
            return -1
        return next((one.samples[0].value for one in metrics if one.name == name), -1)

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.metric("variantbus_cluster_leads") == 1

    @property
    def stands_by(self) -> bool:
        """Whether it says that it does not lead: one that does not answer may still do so."""
        return self.metric("variantbus_cluster_leads") == 0

    @property
    def sequence(self) -> float:
        """Up to where of the ledger its file is."""
        return self.metric("variantbus_ledger_sequence")

    def wait_to_lead(self) -> None:
        """Wait until it leads."""
        wait_until(lambda: self.leads, TAKEOVER_SECONDS, what=f"{self.control} that leads")

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Return the rows of all tables that are not the log's own affair, and its records."""
        own = set(schemas.tables_of(SQL["schema"])) - {"log"}
        with closing(sqlite3.connect(f"file:{self.data / 'learning.db'}?mode=ro", uri=True)) as db:
            names = {name for name, (kind, _, _) in schemas.objects_in(db).items() if kind == "table"} - own
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(names)}  # noqa: S608 - ours


def leader_and_standby(
    workspace: Workspace, nats: NatsServers, data: Path, other: Path
) -> tuple[LearningNode, LearningNode]:
    """Start a learning service that leads, with the data of a folder, and another one that has followed it so far."""
    leader = LearningNode(workspace, nats, data)
    leader.wait_to_lead()
    standby = LearningNode(workspace, nats, other)
    wait_for_all(leader, standby)
    return leader, standby


def wait_for_same_state(one: LearningNode, other: LearningNode) -> None:
    """Wait until two files have the same, also what who leads does by itself, such as recommendations.

    Up to where of the ledger they are, their services have to say: into its file who leads writes that with its next
    entry alone, so that after another one has begun to lead its file has an older place than those that follow.
    """

    def is_same() -> bool:
        some, more = one.contents(), other.contents()
        return {**some, PLACES: []} == {**more, PLACES: []}

    wait_until(is_same, TAKEOVER_SECONDS, what="two files with the same state")


def wait_for_name(node: LearningNode, experiment_id: str, name: str) -> None:
    """Wait until a node tells a name of an experiment: while who leads is changing, it says so instead."""

    def is_told() -> bool:
        with suppress(ControlError):
            return view_of(node, experiment_id).experiment_name == name
        return False

    wait_until(is_told, TAKEOVER_SECONDS, what=f"the name {name}")


def wait_for_leader(*nodes: LearningNode) -> LearningNode:
    """Wait until one of some leads, and return it."""
    found: list[LearningNode] = []

    def is_found() -> bool:
        found.extend(node for node in nodes if node.leads)
        return bool(found)

    wait_until(is_found, TAKEOVER_SECONDS, what="a learning service that leads")
    return found[0]


def wait_for_all(leader: LearningNode, *others: LearningNode) -> None:
    """Wait until the files of some are as far as that of the leader, and both have said so."""
    for other in others:
        wait_until(
            lambda: 0 <= other.sequence == leader.sequence,  # noqa: B023 - called now
            TAKEOVER_SECONDS,
            what=f"{other.control} as far as {leader.control}",
        )
