"""The files of a cluster on one's own machines, but for seeds."""

import tomllib
from collections.abc import Sequence

import pytest

from bus.protocol.validation import InvalidInputError
from variantbus.cluster.configuration import Node
from variantbus.cluster.deployment import Certificates, Ports, client_text, nodes_of, server_text
from variantbus.cluster.roles import ROLES

PORTS = Ports(client=4222, route=6222, monitor=8222)
CERTIFICATES = Certificates(cert="/c.pem", key="/k.pem", ca="/ca.pem")
USERS = {role.name: f"U{role.name}" for role in ROLES}


def texts(nodes: Sequence[Node]) -> list[str]:
    """Return the configurations of servers."""
    return [server_text(node, nodes, "/data/", CERTIFICATES, USERS) for node in nodes]


def test_a_server_demands_tls_of_all_and_certificates_of_other_servers() -> None:
    """Nobody without a key of a role is let in, and nobody listens on what only a name elsewhere means."""
    nodes = nodes_of(["a.example.org", "10.0.0.2", "c"], PORTS)
    first, second, _ = texts(nodes)

    assert 'listen: "0.0.0.0:4222"' in first
    assert 'listen: "10.0.0.2:4222"' in second
    assert 'http: "127.0.0.1:8222"' in first
    assert "nats://a.example.org:6222" in second
    assert first.count('cert_file: "/c.pem"') == 2
    assert "verify: true" in first
    assert 'store_dir: "/data/a.example.org"' in first
    assert all(f'nkey: "U{role.name}"' in first for role in ROLES)


def test_a_server_is_told_of_by_the_name_in_its_certificate() -> None:
    """Others and clients dial what servers tell of each other, and find no address in a certificate for a name."""
    nodes = nodes_of(["a.example.org", "b.example.org", "10.0.0.3"], PORTS)
    first, _, third = texts(nodes)

    assert '\nclient_advertise: "a.example.org:4222"\n' in first
    assert '\n  advertise: "a.example.org:6222"\n' in first
    assert '\nclient_advertise: "10.0.0.3:4222"\n' in third
    assert '\n  advertise: "10.0.0.3:6222"\n' in third


def test_an_address_of_ipv6_is_told_from_the_port_behind_it() -> None:
    """Nobody could read where the one ends."""
    nodes = nodes_of(["2001:db8::1", "::1", "c"], PORTS)
    first, second, third = texts(nodes)

    assert 'listen: "[2001:db8::1]:4222"' in first
    assert 'http: "127.0.0.1:8222"' in first
    assert 'http: "[::1]:8222"' in second
    assert "nats://[2001:db8::1]:6222" in third
    assert '"tls://[::1]:4222"' in client_text(ROLES[0], nodes)


def test_a_lone_server_has_no_routes() -> None:
    """It is no member of a cluster, and has TLS all the same."""
    (node,) = nodes_of(["a"], PORTS)

    assert "routes" not in texts([node])[0]


def test_clients_are_told_servers_seed_certificates_and_inbox() -> None:
    """It is what `--cluster` reads."""
    nodes = nodes_of(["a", "b", "c"], PORTS)
    told = tomllib.loads(client_text(ROLES[1], nodes))

    assert told == {
        "servers": ["tls://a:4222", "tls://b:4222", "tls://c:4222"],
        "credentials": "runner.seed",
        "ca": "ca.pem",
        "inbox": "_INBOX_runner",
    }


@pytest.mark.parametrize(
    ("hosts", "problem"),
    [
        (["a", "b"], "two servers stand still when one of them dies"),
        (["a", "b", "a"], "each server needs a name of its own"),
        (["a", "", "b"], "each server needs a name of its own"),
    ],
)
def test_what_is_no_cluster_is_refused(hosts: list[str], problem: str) -> None:
    """With what to write instead."""
    with pytest.raises(InvalidInputError, match=problem):
        nodes_of(hosts, PORTS)
