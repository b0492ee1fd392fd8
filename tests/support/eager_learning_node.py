"""A learning service of a cluster that copies its file into it all the time."""

from learning_service.cluster import snapshots
from learning_service.main import main

if __name__ == "__main__":
    snapshots.LEDGER_BYTES, snapshots.CHECK_SECONDS = 1, 0.1  # type: ignore[misc]
    main()
