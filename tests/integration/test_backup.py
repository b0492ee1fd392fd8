"""Backup and restore as docs/operations.md says: a copy of one moment, and nobody skips what was lost since."""

from collections.abc import Callable
from pathlib import Path

from bus.protocol.recovery import Rewound
from bus.subscriber.delivery import Start
from bus.subscriber.sync import Subscriber
from tests.support.helpers import Service, collect, names, wait_until
from tests.support.subscribing import serve_again

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]


def test_a_restored_backup_is_noticed_and_nothing_is_skipped(
    serve: Serve, subscribe: Subscribe, tmp_path: Path
) -> None:
    """The subscriber is told that the log lost its end, and gets what is given the same offsets afterwards."""
    path, copy = tmp_path / "log.db", tmp_path / "copy.db"
    service = serve(path)
    subscriber = subscribe([service.address], start=Start.BEGINNING)
    service.append(("a.", 1), ("a.", 2))
    service.call(lambda: service.log.query(f"VACUUM INTO '{copy}'"))
    service.append(("a.", 3), ("a.", 4))
    assert names(collect(subscriber, 4)) == ["1", "2", "3", "4"]
    epoch = service.log.epoch
    service.stop()

    copy.replace(path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    restored = serve_again(serve, path, service.publisher.control, service.publisher.feed)

    assert (restored.log.head, restored.log.epoch != epoch) == (2, True)
    restored.append(("a.", 5), ("a.", 6), ("a.", 7))
    assert names(collect(subscriber, 3)) == ["5", "6", "7"]
    wait_until(lambda: [notice for *_, notice in subscriber.notices] == [Rewound(4, 2)], what="the notice")
