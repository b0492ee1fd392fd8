"""Data folders that earlier versions wrote, one archive for each schema (see tests/fixtures/make_version.py)."""

import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from bus.eventlog.log import SQL as LOG
from bus.eventlog.schemas import version_of
from bus.eventlog.verification import opened
from bus.eventlog.versions import OWN, version_in
from variantbus.cli.verify import STORES

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
VERSIONS: Final = sorted(path.name for path in FIXTURES.glob("version-*.tar.xz"))
KNOWN: Final = {  # service → store → the version that this program writes
    service: {OWN: version_of(LOG), **{store: version_of(sql) for store, sql in stores.items()}}
    for service, stores in STORES.items()
}


def unpack(version: str, folder: Path) -> Path:
    """Unpack an archive, and return the data folder."""
    with tarfile.open(FIXTURES / version) as archive:
        archive.extractall(folder, filter="data")
    return folder / "data"


@cache
def versions_of(version: str, service: str) -> dict[str, int | None]:
    """Return the version of each store in an archive."""
    with tempfile.TemporaryDirectory() as folder, opened(unpack(version, Path(folder)) / f"{service}.db") as db:
        return {store: version_in(db, store) for store in KNOWN[service]}


def is_older(version: str, service: str) -> bool:
    """Return whether this program has to migrate the database of a service in an archive."""
    found = versions_of(version, service)
    return any(found[store] not in (None, newest) for store, newest in KNOWN[service].items())
