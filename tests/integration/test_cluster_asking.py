"""Requests that one learning service passes on, and the one that leads answers."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from msgspec import Raw, Struct

from bus.protocol.control import ControlError, NoParams, Role
from bus.transport.loop import Loop
from bus.transport.server import MethodServer
from bus.transport.steps import Steps, complete
from learning_service.cluster import asking
from learning_service.cluster.asking import Answerer, Asker
from tests.support.clusters import connected
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.nats_servers import NatsServers

pytestmark = pytest.mark.usefixtures("no_leaks")


class Size(Struct):
    """How many bytes shall come."""

    count: int
    random: bool = False


def methods() -> MethodServer:
    """Return what a leader answers."""
    server = MethodServer()

    def content(size: Size) -> Steps[object]:
        yield None
        return os.urandom(size.count) if size.random else bytes(size.count)

    def refuse(_: NoParams) -> object:
        raise ControlError("conflict", "it has not ended", {"status": "running"})

    server.add_steps("content", Size, content, role="read")
    server.add("refuse", NoParams, refuse)
    return server


@contextmanager
def asker(nats: NatsServers, *, is_led: bool = True) -> Iterator[Asker]:
    """Return what asks a leader at the same servers, or nobody."""
    with connected(nats.url) as client, connected(nats.url) as other:
        for one in (client, other):
            one.run(one.connection.ready())
        loop = Loop()
        answerer = Answerer(other.connection, loop, methods()) if is_led else None
        thread = threading.Thread(target=loop.run, name="leader")
        thread.start()
        try:
            yield Asker(client.connection)
        finally:
            if answerer:
                answerer.close()
            loop.call(loop.stop)
            thread.join(PATIENCE * TIME_FACTOR)
            loop.close()


def ask(asker: Asker, method: str, params: object, role: Role = "command") -> object:
    """Ask, and return what the answer says."""
    answer = complete(asker.ask(method, Raw(msgspec.msgpack.encode(params)), role))
    assert isinstance(answer, Raw)
    return msgspec.msgpack.decode(answer)


def test_the_leader_answers_with_results_and_errors(nats: NatsServers) -> None:
    """Also in steps, and what would be too large if it were not compressed."""
    with asker(nats) as one:
        assert ask(one, "content", {"count": 3}, "read") == b"\0\0\0"
        assert ask(one, "content", {"count": 5 << 20}) == bytes(5 << 20)
        with pytest.raises(ControlError, match="it has not ended") as refused:
            ask(one, "refuse", {})
        assert (refused.value.code, refused.value.details) == ("conflict", {"status": "running"})
        with pytest.raises(ControlError, match="'nonsense' is unknown"):
            ask(one, "nonsense", {})


def test_a_role_travels_with_its_request(nats: NatsServers) -> None:
    """Who may only read may do no more at the leader."""
    with asker(nats) as one, pytest.raises(ControlError, match="needs the role command") as refused:
        ask(one, "refuse", {}, "read")
    assert refused.value.code == "unauthorized"


def test_what_is_too_large_is_refused(nats: NatsServers) -> None:
    """The answer, and the question."""
    with asker(nats) as one:
        for params in ({"count": 2 << 20, "random": True}, {"count": 1, "text": os.urandom(2 << 20)}):
            with pytest.raises(ControlError, match="raise max_payload") as refused:
                ask(one, "content", params)
            assert refused.value.code == "too_large"


def test_without_a_leader_the_answer_is_a_sentence(nats: NatsServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while in which one could have come; and at once when this one begins to lead, or there is no server."""
    monkeypatch.setattr(asking, "LEADER_SECONDS", 0.3)
    with asker(nats, is_led=False) as one:
        with pytest.raises(ControlError, match="no learning service leads now") as refused:
            ask(one, "content", {"count": 1})
        assert refused.value.code == "unavailable"
        monkeypatch.setattr(asking, "LEADER_SECONDS", PATIENCE * TIME_FACTOR)
        steps = one.ask("content", Raw(b"\x80"), "read")
        waiting = next(steps)
        one.close()
        assert waiting
        assert waiting.cancelled()
        with pytest.raises(ControlError, match="who leads is changing"):
            steps.send(None)
        with pytest.raises(ControlError, match="no learning service leads now"):
            ask(one, "content", {"count": 1})


def test_who_leads_no_more_hears_no_question(nats: NatsServers) -> None:
    """Also if that is before it has begun to listen."""
    with connected(nats.url) as client:
        client.run(client.connection.ready())
        heard = client.connection.client._subs
        before, loop = len(heard), Loop()
        try:
            answerer = Answerer(client.connection, loop, MethodServer())
            answerer.close()
            answerer._subscription.result(PATIENCE * TIME_FACTOR)
            wait_until(lambda: len(heard) == before, what="no subscription")
        finally:
            loop.close()
