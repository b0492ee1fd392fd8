"""Entries of the ledger as messages: cut, put together again, and linked to the one before."""

import os

import msgspec
import pytest
from msgspec import Raw

from bus.eventlog.replicas import Entry, Step
from learning_service.cluster.codec import RESERVE, Assembler, Began, Body, BrokenError, pack

START = b""
BEGAN = Began("machine:5571", "tcp://127.0.0.1:5571", {"learning": 9}, "run")
SMALL = Entry(3, [Step("one", "DELETE FROM t WHERE a = ?", [1])], [("a.", 5, Raw(msgspec.msgpack.encode({"x": 1})))])


def large(seed: int = 0) -> Entry:
    """Return an entry that cannot be made small."""
    return Entry(seed, [Step("many", "INSERT INTO t VALUES (?)", [[os.urandom(2000)] for _ in range(4)])], [])


def messages(bodies: list[Body], limit: int) -> list[bytes]:
    """Return the messages of some entries, one behind the other."""
    found, link = [], START
    for body in bodies:
        made, link = pack(body, link, limit)
        found += made
    return found


def test_entries_come_as_they_were() -> None:
    """Whole or in parts, each after the message that completes it."""
    bodies: list[Body] = [BEGAN, SMALL, large(), SMALL]
    assembler = Assembler(START)
    sent = messages(bodies, RESERVE + 1000)
    found = [assembler.take(one) for one in sent]

    assert len(sent) > len(bodies)
    assert all(len(one) <= RESERVE + 1000 for one in sent)
    assert [one for one in found if one is not None] == bodies
    assert found[2:-2] == [None] * (len(found) - 4), "parts"


def test_an_entry_whose_end_never_came_is_dropped() -> None:
    """The next leader writes behind the same entry."""
    first, link = pack(SMALL, START, RESERVE + 1000)
    cut, _ = pack(large(), link, RESERVE + 1000)
    rest, _ = pack(BEGAN, link, RESERVE + 1000)
    assembler = Assembler(START)

    assert [assembler.take(one) for one in [*first, *cut[:-1], *rest]][-1] == BEGAN
    with pytest.raises(BrokenError):
        assembler.take(cut[-1])


@pytest.mark.parametrize("missing", range(5))
def test_a_hole_is_noticed(missing: int) -> None:
    """Whatever is left out, an entry or a part, the next one is not taken."""
    sent = messages([SMALL, large(), SMALL, SMALL], RESERVE + 4000)
    assert len(sent) > missing + 1
    assembler = Assembler(START)
    for one in sent[:missing]:
        assembler.take(one)
    with pytest.raises(BrokenError):
        assembler.take(sent[missing + 1])


def test_the_entries_of_another_ledger_are_not_taken() -> None:
    """Though they are the same from now on."""
    theirs = messages([BEGAN, SMALL], 1 << 20)
    ours = Assembler(START)
    ours.take(*messages([SMALL], 1 << 20))

    for one in theirs:
        with pytest.raises(BrokenError):
            ours.take(one)


@pytest.mark.parametrize("data", [b"", b"\xc1", msgspec.msgpack.encode([2, b"", 1, 1, b""])])
def test_what_is_no_entry_is_not_taken(data: bytes) -> None:
    """Neither rubbish nor what a later version writes."""
    with pytest.raises(BrokenError):
        Assembler(START).take(data)


def test_an_answer_of_nats_between_entries_and_parts_is_passed_over() -> None:
    """Whoever may ask can have one put there; a part does not look like one, also if two of its bits are turned."""
    answer = b'{"type":"io.nats.jetstream.api.v1.stream_info_response"}'
    bodies: list[Body] = [SMALL, large()]
    sent = messages(bodies, RESERVE + 1000)
    assembler = Assembler(START)

    found = [assembler.take(one) for part in sent for one in (answer, part)]

    assert [one for one in found if one is not None] == bodies
    assert all((part[0] ^ answer[0]).bit_count() > 2 for part in sent)
