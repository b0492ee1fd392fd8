"""Several learning services of a cluster: one leads, the others have the same files and take over."""

import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bus.cluster import names
from bus.contracts.experiments import ExperimentView, RenameParams
from bus.protocol.control import ControlError
from tests.support.clusters import connected
from tests.support.experiment_files import pictures, services, submit
from tests.support.helpers import wait_until
from tests.support.learning_nodes import (
    TAKEOVER_SECONDS,
    LearningNode,
    leader_and_standby,
    wait_for_all,
    wait_for_leader,
    wait_for_name,
    wait_for_same_state,
)
from tests.support.nats_servers import NatsServers
from tests.support.workspace import ROOT, STOP_SECONDS, Workspace, view_of


def made_before(workspace: Workspace) -> tuple[Path, str]:
    """Return a data folder with an experiment that has ended, of a learning service that was alone, and its id."""
    runner, alone = services(workspace)
    name = submit(workspace, pictures(values=2, jobs=1))
    wait_until(lambda: view_of(alone, name).status == "completed", what="the end of the experiment")
    alone.terminate()
    runner.terminate()
    return alone.data, name


def rename(node: LearningNode, experiment_id: str, name: str) -> None:
    """Give an experiment another name, once somebody leads."""

    def is_done() -> bool:
        try:
            node.ask("experiment.rename", RenameParams(experiment_id=experiment_id, name=name), ExperimentView)
        except ControlError as error:
            if error.code != "unavailable":
                raise
            return False
        return True

    wait_until(is_done, TAKEOVER_SECONDS, what="the new name")


def test_who_stands_by_takes_over_with_the_same_state(workspace: Workspace, nats: NatsServers, tmp_path: Path) -> None:
    """Data of one machine become those of the cluster; a killed leader costs nothing that was answered."""
    data, experiment = made_before(workspace)
    first, second = leader_and_standby(workspace, nats, data, tmp_path / "second")
    assert "is filled from the cluster" in second.process.errors()
    rename(second, experiment, "asked at the one that stands by")
    wait_for_name(first, experiment, "asked at the one that stands by")
    wait_for_all(first, second)

    first.kill()
    second.wait_to_lead()
    wait_for_name(second, experiment, "asked at the one that stands by")
    rename(second, experiment, "after the death")
    first.start()
    wait_for_all(second, first)
    wait_for_name(first, experiment, "after the death")
    assert second.terminate() == 0
    first.wait_to_lead()
    rename(first, experiment, "and back")
    second.start()
    wait_for_all(first, second)
    wait_for_same_state(first, second)


def test_a_leader_that_was_paused_writes_nothing_any_more(
    workspace: Workspace, nats: NatsServers, tmp_path: Path
) -> None:
    """It wakes up, is refused, and stands by with the state of the one that leads."""
    data, experiment = made_before(workspace)
    old, new = leader_and_standby(workspace, nats, data, tmp_path / "new")
    old.process.send(signal.SIGSTOP)
    new.wait_to_lead()
    rename(new, experiment, "by the new one")
    old.process.send(signal.SIGCONT)
    rename(old, experiment, "asked at the old one")

    wait_until(lambda: old.stands_by and new.leads, TAKEOVER_SECONDS, what="one leader")
    wait_for_all(new, old)
    for node in (old, new):
        wait_for_name(node, experiment, "asked at the old one")
    wait_for_same_state(old, new)


@pytest.mark.exhaustive
def test_without_servers_nobody_leads_and_with_them_somebody_does_again(
    workspace: Workspace, nats: NatsServers, tmp_path: Path
) -> None:
    """Records can be read meanwhile; everything else is refused with a sentence."""
    data, experiment = made_before(workspace)
    nodes = leader_and_standby(workspace, nats, data, tmp_path / "second")
    nats.nodes[0].kill()
    wait_until(lambda: all(node.stands_by for node in nodes), TAKEOVER_SECONDS, what="no leader")
    for node in nodes:
        assert node.head > 0
        with pytest.raises(ControlError, match="no learning service leads now"):
            view_of(node, experiment)

    nats.nodes[0].start()
    wait_for_leader(*nodes)
    for node in nodes:
        rename(node, experiment, f"asked at {node.control}")


def test_data_of_something_else_are_refused(workspace: Workspace, nats: NatsServers, tmp_path: Path) -> None:
    """What the cluster has and what the folder has cannot both be so; nothing is changed."""
    data, _ = made_before(workspace)
    leader = LearningNode(workspace, nats, tmp_path / "leader")
    leader.wait_to_lead()
    before = (data / "learning.db").read_bytes()
    stranger = LearningNode(workspace, nats, data)

    assert stranger.process.wait(STOP_SECONDS) == 2
    assert "experiments of its own" in stranger.process.errors()
    leader.wait_to_lead()
    assert (data / "learning.db").stat().st_size >= len(before)


def test_a_file_that_went_its_own_way_is_refused(workspace: Workspace, nats: NatsServers) -> None:
    """Once it was used without the cluster, its state is another one."""
    data, _ = made_before(workspace)
    node = LearningNode(workspace, nats, data)
    node.wait_to_lead()
    node.terminate()
    runner = workspace.runner()
    alone = workspace.learning(runner, data=data)
    alone.terminate()
    node = LearningNode(workspace, nats, data)

    assert node.process.wait(STOP_SECONDS) == 2
    assert "experiments of its own" in node.process.errors()


def test_a_file_that_the_ledger_has_left_behind_begins_with_a_copy(
    workspace: Workspace, nats: NatsServers, tmp_path: Path
) -> None:
    """So does a new one: the ledger is kept behind the copies only. What was there before stays beside it."""
    workspace.environment["PYTHONPATH"] = str(ROOT)
    data, experiment = made_before(workspace)
    leader = LearningNode(workspace, nats, data, module="tests.support.eager_learning_node")
    leader.wait_to_lead()
    behind = LearningNode(workspace, nats, tmp_path / "behind")
    wait_for_all(leader, behind)
    behind.terminate()
    before = behind.contents()["ledger_places"]
    with connected(nats.url) as client:

        def is_left_behind() -> bool:
            rename(leader, experiment, f"after {leader.sequence}")
            first = client.run(client.js.stream_info(names.LEDGER)).state.first_seq
            return bool(first > 1 + int(str(before[0][2])))

        wait_until(is_left_behind, TAKEOVER_SECONDS, what="a ledger without its beginning")
    behind.start()
    fresh = LearningNode(workspace, nats, tmp_path / "fresh")
    wait_for_all(leader, behind, fresh)
    rename(fresh, experiment, "the last name")
    wait_for_all(leader, behind, fresh)
    for node in (behind, fresh):
        wait_for_same_state(leader, node)
    assert (behind.data / "learning.db.replaced").exists()
    assert not (fresh.data / "learning.db.replaced").exists(), "there was nothing in it"
    assert not [*fresh.data.glob("*.gz"), *fresh.data.glob("*.snapshot*"), *fresh.data.glob("*.restoring")]


def test_of_three_servers_one_may_die(workspace: Workspace, nats_cluster: NatsServers, tmp_path: Path) -> None:
    """The one that has the say about the ledger too: who leads waits for the next one, and nothing is lost."""
    data, experiment = made_before(workspace)
    with connected(nats_cluster.url) as client:
        client.ensure_three()  # with one copy nothing would go on without its server
    nodes = leader_and_standby(workspace, nats_cluster, data, tmp_path / "second")
    server = nats_cluster.leader_of(names.LEDGER)
    assert server
    server.kill()
    rename(nodes[1], experiment, "with two servers")
    wait_for_all(*nodes)
    for node in nodes:
        wait_for_name(node, experiment, "with two servers")
    wait_for_same_state(*nodes)


def test_a_damaged_file_is_made_anew_from_the_cluster(workspace: Workspace, nats: NatsServers, tmp_path: Path) -> None:
    """Others have what it has lost, and a file that lacks a row would not do what the ledger says."""
    data, experiment = made_before(workspace)
    leader, other = leader_and_standby(workspace, nats, data, tmp_path / "other")
    other.terminate()
    with closing(sqlite3.connect(other.data / "learning.db")) as db:
        db.execute("UPDATE experiments SET created_at = created_at + 1")
        db.commit()
    rename(leader, experiment, "another name")
    other.start()
    wait_for_all(leader, other)

    wait_for_same_state(leader, other)
    assert "some of its rows are damaged" in other.process.errors()


def test_a_cluster_has_no_shards(workspace: Workspace) -> None:
    """One learning service leads all experiments."""
    options = ("--cluster", "nats://127.0.0.1", "--shard", "1/2", "--data-dir", str(workspace.folder))
    process = workspace.start("learning", sys.executable, "-m", "learning_service", *options)

    assert process.wait() == 2
    assert "leave --shard away" in process.errors()
