"""The configuration of a server of a cluster, as text."""

from pathlib import Path

from variantbus.cluster.configuration import Node, Value, local_settings, settings_of, written

NODES = [
    Node(name=f"nats-{number}", client=4000 + number, route=6000 + number, monitor=8000 + number) for number in range(3)
]


def test_each_server_knows_the_others_and_syncs_what_it_acknowledges() -> None:
    """A member of a cluster has a route to each other one, and none to itself."""
    text = written(settings_of(NODES[0], NODES, "/data"))

    assert 'sync_interval: "always"' in text
    assert "nats://127.0.0.1:6001" in text
    assert "nats://127.0.0.1:6002" in text
    assert "nats://127.0.0.1:6000" not in text


def test_a_lone_server_is_no_member_of_a_cluster() -> None:
    """With one server there is nothing to wait for."""
    assert "cluster" not in settings_of(NODES[0], NODES[:1], "/data")


def test_a_server_of_this_machine_is_reached_from_this_machine_alone() -> None:
    """Nobody else can connect, as there are no passwords."""
    text = written(local_settings(NODES[0], NODES, Path("/data/a b")))

    assert 'listen: "127.0.0.1:4000"' in text
    assert 'store_dir: "/data/a b/data"' in text


def test_settings_are_written_as_the_server_reads_them() -> None:
    """Lists and maps are nested, and a name that is no word is quoted."""
    settings: dict[str, Value] = {"a": True, "b": {"c": [1, {"d": 'x"y'}], "_INBOX.>": 2}}

    assert written(settings) == (
        'a: true\nb: {\n  c: [\n    1\n    {\n      d: "x\\"y"\n    }\n  ]\n  "_INBOX.>": 2\n}\n'
    )
