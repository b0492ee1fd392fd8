"""Deletions and imports of one experiment at once: neither takes half of the other's."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.loop import Loop
from bus.transport.steps import complete
from learning_service.dispatch.purging import Purging
from learning_service.planning import deletion
from learning_service.planning.deletion import Deletion
from learning_service.storage.deletions import Deletions
from learning_service.storage.store import LearningStore
from tests.support.factories import EXPERIMENT, planned_experiment
from tests.support.learning_services import Services, address_of, create
from variantbus.cli.archive import send
from variantbus.client.records import export_of


@pytest.mark.fault(item="F104")
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_is_left_to_do_of_a_deletion_takes_nothing_of_a_later_import(
    open_log: Callable[[Path], Log], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """As when a request and the retry after a full disk do the same, and one of them ends first."""
    monkeypatch.setattr(deletion, "AT_ONCE", 1)
    log, loop = open_log(tmp_path / "learning.db"), Loop()
    store, experiment = LearningStore(log), planned_experiment()
    with log.transaction() as tx:
        store.insert(tx, experiment)
        store.deletions.begin(tx, EXPERIMENT, [], 1.0)
    doing = Deletion(log, store, loop, MagicMock(Purging), [])
    late = doing._prune(EXPERIMENT)
    for _ in range(steps):
        next(late)
    assert complete(doing._prune(EXPERIMENT))

    with log.transaction() as tx:
        store.deletions.undo(tx, EXPERIMENT)
        store.insert(tx, experiment)
    assert complete(late)
    loop.close()

    store.drop(EXPERIMENT)
    assert len(store.get(EXPERIMENT).variants) == 2


@pytest.mark.fault(item="F104")
def test_an_import_waits_for_a_deletion_that_has_begun_since_it_was_asked_for(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records would be deleted, too."""
    learning = services.learning(services.scripted().address)
    create(learning)
    exported = export_of(address_of(learning), EXPERIMENT, None)
    begun = [False, True]  # when the request comes, and when it has its turn
    with monkeypatch.context() as patched:
        patched.setattr(Deletions, "is_under_way", lambda *_: begun.pop(0))
        patched.setattr(LearningStore, "find", lambda *_: None)
        with pytest.raises(ControlError, match="is still being deleted; try again in a moment"):
            send(address_of(learning), exported, None)
    assert begun == []
