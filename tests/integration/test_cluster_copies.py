"""What `cluster check` sees of a cluster, at real servers."""

from typing import Any

import pytest

from bus.cluster import ends, names
from bus.cluster.access import parse_access
from tests.support.clusters import ANSWER_SECONDS, connected, end
from tests.support.nats_servers import NatsServers
from variantbus.cluster import looking
from variantbus.cluster.judging import problems_of

pytestmark = pytest.mark.usefixtures("no_leaks")
LOST = 3


def test_a_copy_that_has_lost_what_it_had_stored_is_named(
    nats_cluster: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever leads the stream knows nothing of it; the server itself tells where its copy ends."""
    with connected(nats_cluster.url) as client:
        client.ensure_three()
        for number in range(LOST + 1):
            assert client.run(ends.commit(client.js, f"end.exp.0.job-{number}", end("run"))) == "won"
    access = parse_access(nats_cluster.url)
    monitors = [node._monitor for node in nats_cluster.nodes]
    leader = nats_cluster.leader_of(names.ENDS)
    victim = next(node for node in nats_cluster.nodes if node is not leader)

    def spoiled(address: str, seconds: float) -> Any:
        told = read(address, seconds)
        if address.startswith(victim._monitor) and "jsz" in address:
            for one in told["account_details"][0]["stream_detail"]:
                one["state"]["last_seq"] -= LOST * (one["name"] == names.ENDS)
        return told

    def stuck() -> list[str]:
        found = problems_of(*looking.look(access, monitors, ANSWER_SECONDS))
        return [one.detail for one in found if one.code == "cluster_copy_stuck"]

    assert stuck() == []
    read = looking._answer
    monkeypatch.setattr(looking, "_answer", spoiled)
    (detail,) = stuck()
    assert f"copies at {victim.name} are behind and do not catch up" in detail
    assert f": ENDS ({LOST} messages);" in detail
    assert "remove its data folder" in detail
