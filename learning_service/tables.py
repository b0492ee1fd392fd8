"""All tables of a learning service: a file that only follows another one needs them before the service is made."""

from bus.eventlog.log import Log
from learning_service.archive import importing
from learning_service.storage.store import LearningStore


def create_tables(log: Log) -> None:
    """Create the tables that are missing in a file, and bring all to this version."""
    LearningStore(log)
    importing.create_tables(log)
