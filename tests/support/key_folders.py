"""Folders of keys for the tests, and changes to their lists."""

import os

from bus.transport.keys import PEERS, Keys


def write_peers(keys: Keys, text: str) -> None:
    """Replace the list, as an editor does: the new file is there at once, whole."""
    path = keys.folder / PEERS
    new = path.with_name("peers.new")
    new.write_text(text + "\n", encoding="utf-8")
    new.chmod(0o600)
    os.replace(new, path)  # noqa: PTH105 - the call is the point


def enrol(keys: Keys, role: str, public: str) -> None:
    """Let one client in, and nobody else."""
    write_peers(keys, f"{role} somebody {public}")
