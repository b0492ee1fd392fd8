"""The configuration of a server of NATS, as text: pure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

CLUSTER: Final = "variantbus"  # as the servers call themselves together
MAX_PAYLOAD: Final = 8 << 20  # bytes: a transaction, or a request of 4 MiB with what is around it
CLIENT_PORT: Final = 4222
ROUTE_PORT: Final = 6222
MONITOR_PORT: Final = 8222
LOG: Final = "server.log"  # of a server of this machine, in its folder
Value = str | int | bool | Sequence[Any] | Mapping[str, Any]


class Node(Struct, frozen=True, kw_only=True):
    """A server: where it listens, and where the others find it."""

    name: str
    host: str = "127.0.0.1"  # to listen on
    reached: str = "127.0.0.1"  # by others
    client: int = CLIENT_PORT
    route: int = ROUTE_PORT
    monitor: int = MONITOR_PORT
    watched: str = "127.0.0.1"  # where it tells how it is, to its own machine alone


def settings_of(node: Node, nodes: Sequence[Node], store: str) -> dict[str, Value]:
    """Return what every server is told; a lone one is no member of a cluster.

    Each tells the others and its clients of itself by the name that is in its certificate. It would tell its address
    otherwise, for which the certificate is not, and there they would try to reach it again and again.

    What JetStream has acknowledged is on the disk: without `sync_interval: always` a power cut may take what all of
    them had acknowledged in the last two minutes.
    """
    found: dict[str, Value] = {
        "server_name": node.name,
        "listen": f"{node.host}:{node.client}",
        "client_advertise": f"{node.reached}:{node.client}",
        "http": f"{node.watched}:{node.monitor}",
        "max_payload": MAX_PAYLOAD,
        "jetstream": {"store_dir": store, "sync_interval": "always"},
    }
    if len(nodes) > 1:
        found["cluster"] = {
            "name": CLUSTER,
            "listen": f"{node.host}:{node.route}",
            "advertise": f"{node.reached}:{node.route}",
            "routes": [f"nats://{one.reached}:{one.route}" for one in nodes if one != node],
        }
    return found


def local_settings(node: Node, nodes: Sequence[Node], folder: Path) -> dict[str, Value]:
    """Return what a server of this machine is told, which has its data and its log in a folder of its own."""
    log: dict[str, Value] = {
        "log_file": str(folder / LOG),
        "logfile_size_limit": 16 << 20,
        "logfile_max_num": 2,
    }
    return {**settings_of(node, nodes, str(folder / "data")), **log}


def written(settings: Mapping[str, Value]) -> str:
    """Return settings as the server reads them, which is nearly JSON."""
    return "".join(f"{name}: {_value(value, 0)}\n" for name, value in settings.items())


def _value(value: Value, depth: int) -> str:
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping):
        lines = "".join(f"{inner}{_key(name)}: {_value(one, depth + 1)}\n" for name, one in value.items())
        return f"{{\n{lines}{outer}}}"
    if isinstance(value, str | int):  # and bool
        return json.dumps(value)
    lines = "".join(f"{inner}{_value(one, depth + 1)}\n" for one in value)
    return f"[\n{lines}{outer}]"


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() else json.dumps(name)
