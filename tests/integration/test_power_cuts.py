"""Power cuts: what a disk may hold afterwards, for many moments, and what the log makes of it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import bus.eventlog.epochs
from bus.contracts.messages import encode_body
from bus.eventlog.log import Durability, Log
from bus.protocol.frames import Epochs
from bus.protocol.recovery import resume_offset
from tests.support.helpers import append, job
from tests.support.invariants import Seen, check_never_reused, check_offsets, check_subscriber, check_writes
from tests.support.log_files import checkpoint
from tests.support.power_loss import Disk, Image, power_supply, write_image

STATE = "CREATE TABLE IF NOT EXISTS state (value INTEGER NOT NULL)"
COMMITS, EVENTS = 30, 3


@dataclass
class Moment:
    """A power cut: what was committed and what had to be safe then, and states in which the files may be."""

    epoch: int
    committed: int  # transactions
    safe: int  # of them, that a power cut must not take
    images: list[Image] = field(default_factory=list)


@pytest.fixture
def disk(no_leaks: None) -> Iterator[Disk]:  # noqa: ARG001 - it looks after us
    """Yield a disk that can lose power."""
    with power_supply() as disk:
        if disk is None:
            pytest.skip("this build of Python hides the functions of its SQLite library")
        yield disk


def body(number: int) -> bytes:
    """Return the body of an event."""
    return encode_body(job(number))


def write(disk: Disk, path: Path, durability: Durability, *, sync: bool = True) -> list[Moment]:
    """Write transactions of state and events, some of them synced, and cut the power after each."""
    chance = random.Random(8)  # noqa: S311 - a test that can be repeated
    log = Log(path, durability=durability)
    if not sync:
        log.query("PRAGMA synchronous = OFF")  # the negative control: it promises what it does not do
    log.create_tables("test", {"schema": STATE})
    moments, safe = [], 0
    for number in range(COMMITS):
        typed = number % 7 == 3
        with log.transaction(sync=typed and sync) as tx:
            tx.execute("INSERT INTO state VALUES (?)", (number,))
            for event in range(EVENTS):
                tx.append("a.", job(number * EVENTS + event))
        if typed or durability == "full":
            safe = number + 1
        if number % 5 == 4:
            log.sync_head()
        if number % 11 == 10:
            checkpoint(log, "PASSIVE")
        moments.append(Moment(log.epoch, number + 1, safe, list(disk.images(path, chance, 3))))
    log.close()
    return moments


def check_after(moment: Moment, image: Image, folder: Path, durability: Durability) -> None:
    """Open a state after a power cut and check what the log makes of it."""
    write_image(image, folder)
    log = Log(folder / "test.db", durability=durability)
    try:
        log.create_tables("test", {"schema": STATE})  # a cut may come before it was synced
        found = read(log)
        check_offsets([one.offset for one in found], log.head)
        everything = [body(number) for number in range(moment.committed * EVENTS)]
        check_writes(found, everything, everything[: moment.safe * EVENTS])
        assert [one.body for one in found] == everything[: len(found)], "not a prefix of what was written"
        survived = [value for (value,) in log.query("SELECT value FROM state ORDER BY value")]
        assert survived == list(range(len(found) // EVENTS)), "state and events went back to different moments"
        check_resumed(log, moment, everything)
    finally:
        log.close()


def read(log: Log) -> list[Seen]:
    """Return all records."""
    return [Seen(log.epoch, record.offset, record.topic, bytes(record.body)) for record in log.fetch("", 0).records]


def check_resumed(log: Log, moment: Moment, everything: list[bytes]) -> None:
    """Check that consumers of the lost epoch go on, wherever they stood, and that nothing is given out again."""
    survived = log.head
    assert log.epoch != moment.epoch, "offsets that were seen would be given out again in the same epoch"
    assert (log.epochs[-2][0], log.epochs[-1][1]) == (moment.epoch, survived)
    append(log, *(("a.", f"again {number}") for number in range(4)))
    after = read(log)
    lost = [Seen(moment.epoch, offset, "a.", one) for offset, one in enumerate(everything, 1)]
    check_never_reused(lost, [one for one in after if one.offset > survived])
    for position in (0, survived, len(everything)):
        check_consumer(log.epochs, moment.epoch, position, lost, after)


def check_consumer(epochs: Epochs, epoch: int, position: int, before: list[Seen], after: list[Seen]) -> None:
    """Check that a consumer that had read up to a position ends with what the log has."""
    resumed = resume_offset(epoch, position, epochs)
    kept = [one for one in before if one.offset <= resumed]
    check_subscriber([*kept, *(one for one in after if one.offset > resumed)], after)


@pytest.mark.fault(item="F8")
@pytest.mark.parametrize("durability", ["normal", "full"])
def test_a_power_cut_takes_the_end_of_what_was_not_synced_and_nothing_else(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    """Whatever of the unsynced end survives: a prefix, state and events alike, in a new epoch; synced commits stay."""
    moments = write(disk, tmp_path / "test.db", durability)
    monkeypatch.setattr(bus.eventlog.epochs, "boot_id", lambda: "after the power cut")

    for number, moment in enumerate(moments):
        for kind, image in enumerate(moment.images):
            check_after(moment, image, tmp_path / f"{number}-{kind}", durability)

    assert sum(len(moment.images) for moment in moments) >= 2 * COMMITS
    assert {moment.safe for moment in moments} >= {4, 11, 18, 25}


@pytest.mark.fault(item="F8")
def test_the_checker_notices_a_log_that_does_not_sync(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: with `synchronous=OFF` the same power cuts take commits that were promised to be safe."""
    moments = write(disk, tmp_path / "test.db", "full", sync=False)
    monkeypatch.setattr(bus.eventlog.epochs, "boot_id", lambda: "after the power cut")

    with pytest.raises(AssertionError, match="committed events are lost"):
        check_after(moments[-1], moments[-1].images[0], tmp_path / "cut", "full")
