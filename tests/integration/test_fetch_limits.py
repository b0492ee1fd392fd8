"""What a client may ask of a log: anything; what it gets is bounded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bus.protocol.control import PAGE_LIMIT, CheckReply, ControlError, FetchReply, LatestReply
from bus.transport.client import RequestClient, request
from bus.transport.loop import Loop
from tests.support.helpers import Service

Serve = Callable[..., Service]
INT64_MAX = 2**63 - 1


@pytest.mark.fault(item="B21")
@pytest.mark.parametrize(
    ("params", "offsets", "next_"),
    [
        ({}, range(1, 1001), 1000),
        ({"limit": INT64_MAX}, range(1, 1001), 1000),
        ({"limit": 0}, [1], 1),
        ({"after": INT64_MAX}, [], INT64_MAX),
        ({"after": 5, "until": 3}, [], 5),
        ({"until": INT64_MAX, "after": 1098}, [1099, 1100], 1100),
        ({"prefix": "none."}, [], 1100),
    ],
)
def test_a_fetch_is_clamped(
    serve: Serve, tmp_path: Path, params: dict[str, object], offsets: list[int], next_: int
) -> None:
    """Too much, nothing, behind the head, backwards: an answer as for what makes sense of it."""
    service = serve(tmp_path / "test.db")
    service.append(*(("a.", number) for number in range(1100)))

    reply = request(service.address, "fetch", params, FetchReply)

    assert [row.offset for row in reply.events] == list(offsets)
    assert len(reply.events) <= PAGE_LIMIT
    assert reply.next == next_
    assert reply.head == 1100


@pytest.mark.fault(item="B21")
def test_the_other_questions_are_bounded_as_well(serve: Serve, tmp_path: Path) -> None:
    """`latest` and `check` with what no log has."""
    service = serve(tmp_path / "test.db")
    service.append(*((f"a.{number}.", number) for number in range(1100)))

    assert len(request(service.address, "latest", {"limit": INT64_MAX}, LatestReply).events) == PAGE_LIMIT
    assert len(request(service.address, "latest", {"limit": 0}, LatestReply).events) == 1
    assert request(service.address, "latest", {"after_topic": "\uffff"}, LatestReply).events == []
    assert request(service.address, "check", {"after": INT64_MAX}, CheckReply).last == 0
    with pytest.raises(ControlError, match="prefix: "):
        request(service.address, "check", {"prefix": "x" * 1_000_000}, CheckReply)


@pytest.mark.fault(item="B21")
def test_many_questions_at_once_are_all_answered(serve: Serve, tmp_path: Path) -> None:
    """One after another, none of them for more than its page, and the publisher beats on between them."""
    service = serve(tmp_path / "test.db")
    service.append(*(("a.", f"{number} {'x' * 500}") for number in range(1000)))
    loop = Loop()
    client = RequestClient(loop, service.address)
    replies: list[FetchReply] = []
    errors: list[ControlError] = []
    for _ in range(300):
        client.ask("fetch", {"prefix": "a.", "limit": 100}, FetchReply, replies.append, errors.append, 30)

    while len(replies) + len(errors) < 300:
        loop.step(1)

    client.close()
    loop.close()
    assert not errors
    assert {len(one.events) for one in replies} == {100}
