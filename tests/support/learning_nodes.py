"""Learning services of a cluster as processes, and what their files have in them."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import msgspec
import nats.errors

from bus.cluster import names
from bus.cluster.errors import ClusterError
from bus.eventlog import schemas
from bus.eventlog.log import SQL
from bus.protocol.control import ControlError, MetricsReply
from bus.transport.client import request
from learning_service.cluster.leadership import KEY, Leader
from tests.support.clusters import Client, connected
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers
from tests.support.workspace import ServiceProcess, Workspace, steady_ports

TAKEOVER_SECONDS: Final = 3 * PATIENCE
LOOK_SECONDS: Final = 0.5


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


def wait_for_leader(*nodes: LearningNode) -> LearningNode:
    """Wait until one of some leads, and return it."""
    found: list[LearningNode] = []

    def is_found() -> bool:
        found.extend(node for node in nodes if node.leads)
        return bool(found)

    wait_until(is_found, TAKEOVER_SECONDS, what="a learning service that leads")
    return found[0]


def wait_for_holder(servers: NatsServers, *nodes: LearningNode) -> LearningNode:
    """Wait until one leads and has renewed its key: while servers choose a leader, another one may win it."""
    seen: dict[str, int] = {}
    found: list[LearningNode] = []

    def is_renewed(client: Client) -> bool:
        with suppress(ClusterError, nats.errors.Error):
            keys = client.run(client.js.key_value(names.LEADER))
            entry = client.run(keys.get(KEY))
            control = msgspec.json.decode(entry.value, type=Leader).control
            if seen.setdefault(control, entry.revision) < entry.revision:
                found.extend(node for node in nodes if node.control == control and node.leads)
        return bool(found)

    with connected(servers.url) as client:
        wait_until(lambda: is_renewed(client), TAKEOVER_SECONDS, what="one that leads and renews its key")
    return found[0]


def wait_for_all(leader: LearningNode, *others: LearningNode) -> None:
    """Wait until the files of some are as far as that of the leader."""
    for other in others:
        wait_until(lambda: other.sequence == leader.sequence, what=f"{other.control} as far as {leader.control}")  # noqa: B023 - called now
