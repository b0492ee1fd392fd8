"""The head of a log is noted beside what is published: in a thread, as the disk may take long."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.eventlog.errors import DiskError
from bus.eventlog.files import LogFile
from bus.eventlog.log import Log
from bus.publisher import Publisher
from bus.subscriber.sync import Subscriber
from bus.transport.loop import Loop
from tests.support.helpers import LOCALHOST, PATIENCE, TIME_FACTOR, Service, append, collect, names

Serve = Callable[..., Service]
Subscribe = Callable[..., Subscriber]
OpenLog = Callable[..., Log]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name the database file."""
    return tmp_path / "test.db"


@pytest.mark.fault(item="F141")
def test_events_do_not_wait_for_a_slow_sync_of_the_head(
    serve: Serve, subscribe: Subscribe, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are sent while the disk is at work; then the newest head is noted."""
    service = serve(path)
    subscriber = subscribe([service.address])
    assert subscriber.wait_ready(PATIENCE * TIME_FACTOR)
    began, go_on, fsync = threading.Event(), threading.Event(), os.fsync

    def slow(descriptor: int) -> None:
        began.set()
        go_on.wait(PATIENCE * TIME_FACTOR)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    service.append(("a.", 1))
    assert began.wait(PATIENCE * TIME_FACTOR)
    try:
        service.append(("a.", 2), ("a.", 3))
        assert names(collect(subscriber, 3)) == ["1", "2", "3"]
        assert not go_on.is_set()
    finally:
        go_on.set()
    service.stop()

    assert path.with_suffix(".head").read_text(encoding="ascii").split()[1] == f"{3:020}"


@pytest.mark.fault(item="F55")
def test_a_head_whose_disk_fails_ends_the_loop(
    open_log: OpenLog, loop: Loop, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the thread has met comes out of the loop, and so ends the process."""
    log = open_log(path)
    publisher = Publisher(log, loop, service="test", version="1", feed=LOCALHOST, control=LOCALHOST)
    loop.later(PATIENCE * TIME_FACTOR, loop.stop)
    with monkeypatch.context() as patch:
        patch.setattr(log, "sync_head", broken)
        with pytest.raises(DiskError, match="the disk is broken"):
            loop.run()
    publisher.close()


def broken() -> None:
    """Fail as the head does after EIO."""
    raise DiskError("the disk is broken")


@pytest.mark.fault(item="F141")
def test_a_head_that_was_noted_never_goes_back(open_log: OpenLog, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits until another thread has noted it notes what is the newest then: else a lost end were not seen."""
    log, called, write = open_log(path), threading.Event(), LogFile.write_head

    def noted(file: LogFile, *given: Any) -> None:
        called.set()
        write(file, *given)

    monkeypatch.setattr(LogFile, "write_head", noted)
    late = threading.Thread(target=log.sync_head)
    with log._file._noting:
        late.start()
        assert called.wait(PATIENCE * TIME_FACTOR)
        append(log, ("a.", 1))
    late.join()

    assert path.with_suffix(".head").read_text(encoding="ascii").split()[1] == f"{1:020}"


def test_a_head_that_comes_too_late_is_not_written(open_log: OpenLog, path: Path) -> None:
    """The log was closed meanwhile, and its descriptors may be those of other files by now."""
    log = open_log(path)
    log.close()
    noted = path.with_suffix(".head").read_bytes()

    log._file.write_head(lambda: (log.epoch, 9))

    assert path.with_suffix(".head").read_bytes() == noted
