"""The files of a cluster on one's own machines: configurations of servers, a user with a seed for each role."""

import ipaddress
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import nkeys
from msgspec import Struct

from bus.protocol.validation import InvalidInputError
from variantbus.cluster.configuration import Node, Value, settings_of, written
from variantbus.cluster.roles import ROLES, Role

ACCOUNT: Final = "VARIANTBUS"
EVERY_INTERFACE: Final = "0.0.0.0"  # noqa: S104 - with TLS and keys, and names of other machines do not tell which one
SEED_BYTES: Final = 32
CA: Final = "ca.pem"  # beside each file for clients
LOOPBACK: Final = "127.0.0.1"
FEW: Final = 2


class Certificates(Struct, frozen=True, kw_only=True):
    """Where they are on each server: its own one, the key of that, and those who have signed all of them."""

    cert: str
    key: str
    ca: str


class Ports(Struct, frozen=True, kw_only=True):
    """The ports that each server has: for clients, for the other servers, and for looking (this machine alone)."""

    client: int
    route: int
    monitor: int


def nodes_of(hosts: Sequence[str], ports: Ports) -> list[Node]:
    """Return the servers of some hosts. An address is listened on itself, a name may be known elsewhere alone.

    Raises:
        InvalidInputError: there are two, which lose their majority with one of them, or one is named twice.
    """
    if len(hosts) == FEW:
        raise InvalidInputError("--nodes: two servers stand still when one of them dies; name three, or one")
    if len(set(hosts)) != len(hosts) or not all(hosts):
        raise InvalidInputError("--nodes: each server needs a name of its own")
    return [_node(host, ports) for host in hosts]


def server_text(
    node: Node, nodes: Sequence[Node], store: str, certificates: Certificates, users: Mapping[str, str]
) -> str:
    """Return the configuration of a server; `users` are the public keys of the roles."""
    settings = settings_of(node, nodes, f"{store.rstrip('/')}/{node.name}")
    own: dict[str, Value] = {"cert_file": certificates.cert, "key_file": certificates.key}
    settings["tls"] = own
    members = settings.get("cluster")
    if isinstance(members, Mapping):
        settings["cluster"] = {**members, "tls": {**own, "ca_file": certificates.ca, "verify": True}}
    settings["accounts"] = {
        ACCOUNT: {"jetstream": "enabled", "users": [_user(role, users[role.name]) for role in ROLES]}
    }
    return written(settings)


def client_text(role: Role, nodes: Sequence[Node]) -> str:
    """Return the file that is given as `--cluster` to whoever has a role."""
    servers = json.dumps([f"tls://{node.reached}:{node.client}" for node in nodes])
    return f'servers = {servers}\ncredentials = "{role.name}.seed"\nca = "{CA}"\ninbox = "{role.inbox}"\n'


def write_deployment(folder: Path, nodes: Sequence[Node], store: str, certificates: Certificates) -> list[Path]:
    """Write all files into a folder and return them; seeds that are there are kept, so that servers can be added.

    Raises:
        InvalidInputError: a seed that is there is none.
        OSError: the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    users = {role.name: _public_key(folder / f"{role.name}.seed") for role in ROLES}
    texts = {f"{node.name}.conf": server_text(node, nodes, store, certificates, users) for node in nodes}
    texts |= {f"{role.name}.toml": client_text(role, nodes) for role in ROLES}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    if Path(certificates.ca).is_file():
        shutil.copyfile(certificates.ca, folder / CA)
    return sorted(folder.iterdir())


def _node(host: str, ports: Ports) -> Node:
    reached = host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        listened, watched = EVERY_INTERFACE, LOOPBACK
    else:
        if isinstance(address, ipaddress.IPv6Address):
            reached = f"[{address}]"  # a port comes behind it
        listened, watched = reached, reached if address.is_loopback else LOOPBACK
    return Node(
        name=host,
        host=listened,
        reached=reached,
        client=ports.client,
        route=ports.route,
        monitor=ports.monitor,
        watched=watched,
    )


def _user(role: Role, public_key: str) -> dict[str, Value]:
    hear = [f"{role.inbox}.>", *role.hear]
    return {"nkey": public_key, "permissions": {"publish": list(role.publish), "subscribe": hear}}


def _public_key(seed: Path) -> str:
    """Return the public key of a seed, which is made if it is not there."""
    if not seed.exists():
        made = nkeys.encode_seed(os.urandom(SEED_BYTES), nkeys.PREFIX_BYTE_USER)
        descriptor = os.open(seed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(made + b"\n")
    try:
        return str(nkeys.from_seed(bytearray(seed.read_bytes().strip())).public_key, "ascii")
    except (nkeys.ErrInvalidSeed, ValueError):
        raise InvalidInputError(f"{seed} is no seed; move it away, and another one is made") from None
