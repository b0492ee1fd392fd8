"""Links by which others see an experiment: made, listed, revoked; they survive restarts, and die with it."""

import hashlib
from typing import Any

import pytest

from bus.contracts.archive import RecordsReply
from bus.contracts.shares import SharedReply, ShareListReply, ShareView, UnshareReply
from bus.protocol.control import ControlError
from bus.transport.client import request
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, well
from tests.support.helpers import wait_until
from tests.support.learning_services import Services, address_of, create, wait_for
from tests.support.log_files import tamper

OTHER = "exp-10"
A, B = (hashlib.sha256(name.encode()).hexdigest() for name in "ab")
Learning = ServiceThread[LearningService]


def ask(learning: Learning, what: str, reply: Any, **params: object) -> Any:
    """Ask about links, of one experiment unless the request is for another one."""
    about = {} if what == "shared" else {"experiment_id": EXPERIMENT}
    return request(address_of(learning), f"experiment.{what}", {**about, **params}, reply)


def refusal(learning: Learning, what: str, **params: object) -> tuple[str, str]:
    """Return code and text of a refusal."""
    with pytest.raises(ControlError) as refused:
        ask(learning, what, dict, **params)
    return refused.value.code, refused.value.message


def digests(learning: Learning) -> list[str]:
    """Return the links of the experiment."""
    return [one.digest for one in ask(learning, "shares", ShareListReply).shares]


@pytest.fixture
def learning(services: Services) -> Learning:
    """Return a service with two experiments that have ended, each with pictures of its own."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    create(learning, experiment_id=OTHER)
    wait_until(lambda: len(runner.jobs) == 4, what="the jobs")
    for name in runner.jobs:
        runner.finish(name, well(hashlib.sha256(name.encode()).hexdigest()))
    wait_for(learning, "completed", OTHER)
    wait_for(learning, "completed")
    return learning


def hash_of(learning: Learning, experiment_id: str) -> str:
    """Return a picture of an experiment."""
    records = request(
        address_of(learning), "experiment.records", {"experiment_id": experiment_id, "kind": "pictures"}, RecordsReply
    )
    return str(records.records.pictures[0].image.sha256)


def test_a_link_shows_its_experiment_and_its_pictures_only(learning: Learning) -> None:
    """Made twice it is one; revoked, it is as if it had never been."""
    made = ask(learning, "share", ShareView, digest=A)
    assert ask(learning, "share", ShareView, digest=A) == made
    assert (made.experiment_id, made.expires_at) == (EXPERIMENT, None)
    assert ask(learning, "shared", SharedReply, digest=A) == SharedReply(share=made, has_image=False)
    own, foreign = hash_of(learning, EXPERIMENT), hash_of(learning, OTHER)
    assert ask(learning, "shared", SharedReply, digest=A, image=own).has_image
    assert not ask(learning, "shared", SharedReply, digest=A, image=foreign).has_image

    assert refusal(learning, "share", experiment_id=OTHER, digest=A)[0] == "conflict"
    assert not ask(learning, "unshare", UnshareReply, experiment_id=OTHER, digest=A).removed
    assert ask(learning, "unshare", UnshareReply, digest=A).removed
    assert not ask(learning, "unshare", UnshareReply, digest=A).removed
    assert refusal(learning, "shared", digest=A) == ("not_found", "no such link, or it holds no more")


def test_links_survive_a_restart_and_end_in_time(services: Services, learning: Learning) -> None:
    """One that has expired is in no list, and its row goes when the next one is made."""
    ask(learning, "share", ShareView, digest=A, seconds=0.05)
    ask(learning, "share", ShareView, digest=B, seconds=3600)
    wait_until(lambda: digests(learning) == [B], what="the end of the first")
    assert refusal(learning, "shared", digest=A)[0] == "not_found"

    learning.stop()
    again = services.learning()
    assert digests(again) == [B]
    ask(again, "share", ShareView, digest=B)
    assert ask(again, "shared", SharedReply, digest=B).share.expires_at is None
    assert again.call(lambda: again.log.query("SELECT digest FROM shares")) == [(B,)]


def test_an_expired_link_is_that_of_its_experiment(learning: Learning) -> None:
    """Asked for again by another one, it would open the first one to whoever has its token; its own may renew it."""
    ask(learning, "share", ShareView, digest=A, seconds=0.05)
    wait_until(lambda: not digests(learning), what="its end")

    assert refusal(learning, "share", experiment_id=OTHER, digest=A)[0] == "conflict"
    assert refusal(learning, "shared", digest=A)[0] == "not_found"
    ask(learning, "share", ShareView, digest=A)
    assert ask(learning, "shared", SharedReply, digest=A).share.experiment_id == EXPERIMENT


def test_a_deleted_experiment_has_no_links(learning: Learning) -> None:
    """Also not after it was brought back, as a backup may do."""
    ask(learning, "share", ShareView, digest=A)
    ask(learning, "delete", dict)
    assert refusal(learning, "shared", digest=A)[0] == "not_found"
    assert refusal(learning, "shares")[0] == "not_found"
    assert learning.call(lambda: learning.log.query("SELECT * FROM shares")) == []


def test_bad_requests_are_refused(learning: Learning, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in the place of its digest, no time, too many."""
    assert refusal(learning, "share", digest="my secret")[0] == "invalid_request"
    assert refusal(learning, "share", digest=A.upper())[0] == "invalid_request"
    for seconds in (0, -1, float("inf"), float("nan"), 1e12):
        assert refusal(learning, "share", digest=A, seconds=seconds)[0] == "invalid_request"
    assert refusal(learning, "share", experiment_id="none", digest=A)[0] == "not_found"
    monkeypatch.setattr("learning_service.planning.sharing.MOST", 1)
    ask(learning, "share", ShareView, digest=A)
    assert refusal(learning, "share", digest=B) == ("conflict", f"{EXPERIMENT} has 1 links; revoke one of them first")


@pytest.mark.fault(item="F191")
def test_a_damaged_link_holds_no_more(services: Services, learning: Learning, caplog: pytest.LogCaptureFixture) -> None:
    """Its row may be that of another experiment."""
    ask(learning, "share", ShareView, digest=A)
    ask(learning, "share", ShareView, digest=B)
    learning.stop()
    tamper(learning.log.path, "UPDATE shares SET experiment_id = 'exp-10' WHERE digest = ?", (A,))

    again = services.learning()

    assert digests(again) == [B]
    assert refusal(again, "shared", digest=A)[0] == "not_found"
    assert "are damaged, and hold no more; share again" in caplog.text
