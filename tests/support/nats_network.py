"""The network between servers of NATS and their clients: proxies that can be cut, both ways or one way.

A cut is as one of a network: nobody is told, what was sent before waits, and whoever is still there when it is mended
gets it; connections that ended behind it break then.
"""

from typing import Final, Literal

from bus.protocol.addresses import Address
from tests.support.nats_servers import NatsServers, Node
from tests.support.tcp_proxy import Cut, NetworkFaults, Proxy
from tests.support.workspace import Workspace

Way = Literal["both", "out", "in"]  # of bytes, as seen by whom is cut off
OF_A_CLIENT: Final[dict[Way, Cut]] = {"both": "both", "out": "to_server", "in": "to_client"}
OF_A_SERVER: Final[dict[Way, Cut]] = {"both": "both", "out": "to_client", "in": "to_server"}


class Network:
    """Three servers with a proxy on each route between them, and one from each client to each of them."""

    def __init__(self, workspace: Workspace) -> None:
        """Start the servers."""
        self._proxies: list[Proxy] = []
        self._routes: dict[tuple[str, str], Proxy] = {}
        self._doors: dict[tuple[str, str], Proxy] = {}
        try:
            self.servers = NatsServers(workspace, 3, via=self._via)
        except BaseException:
            self.close()
            raise

    def url(self, client: str) -> str:
        """Return what a client is given as `--cluster`, by which it is known here."""
        for node in self.servers.nodes:
            if (client, node.name) not in self._doors:
                self._doors[client, node.name] = self._opened(node.port)
        addresses = [self._doors[client, node.name].address for node in self.servers.nodes]
        return ",".join(f"nats://{one.host}:{one.port}" for one in addresses)

    def cut_client(self, client: str, way: Way = "both") -> None:
        """Cut a client off from all servers."""
        for (name, _), proxy in self._doors.items():
            if name == client:
                proxy.faults = NetworkFaults(cut=OF_A_CLIENT[way])

    def cut_node(self, node: Node, way: Way = "both") -> None:
        """Cut a server off from the others and from all clients."""
        for (begin, end), proxy in self._routes.items():
            if node.name in (begin, end):
                ways = OF_A_CLIENT if begin == node.name else OF_A_SERVER
                proxy.faults = NetworkFaults(cut=ways[way])
        for (_, name), proxy in self._doors.items():
            if name == node.name:
                proxy.faults = NetworkFaults(cut=OF_A_SERVER[way])

    def mend(self) -> None:
        """End all cuts."""
        for proxy in self._proxies:
            proxy.faults = NetworkFaults()

    def close(self) -> None:
        """End all proxies."""
        for proxy in self._proxies:
            proxy.close()

    def _via(self, node: Node, other: Node) -> Address:
        proxy = self._routes[node.name, other.name] = self._opened(other.route_port)
        return proxy.address

    def _opened(self, port: int) -> Proxy:
        self._proxies.append(Proxy(Address("127.0.0.1", port)))
        return self._proxies[-1]
