"""What a screen asks that lists experiments: their order, and what it shows of those in sight."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bus.contracts.experiments import ExperimentParams
from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.listing import ExperimentIndexReply, Leader, Overview, OverviewReply
from bus.contracts.messages import ImageRef, JobResult
from bus.transport.client import request
from learning_service.planning import listing
from learning_service.planning.listing import fitting, spread, strip
from learning_service.service import LearningService
from tests.support.factories import EXPERIMENT, ServiceThread, image
from tests.support.helpers import wait_until
from tests.support.learning_services import SMALL, Services, address_of, create, wait_for
from tests.support.many_experiments import fill

MANY = 1000
Learning = ServiceThread[LearningService]


def index_of(learning: Learning, **params: Any) -> ExperimentIndexReply:
    """Return the ids of a list."""
    return request(address_of(learning), "experiment.index", params, ExperimentIndexReply)


def overview_of(learning: Learning, *names: str) -> list[Overview]:
    """Return what a list shows of some experiments, asked as often as it takes."""
    found, rest = [], list(names)
    while rest:
        reply = request(address_of(learning), "experiment.overview", {"experiment_ids": rest}, OverviewReply)
        found += reply.overviews
        rest = reply.rest
    return found


def test_many_experiments_have_an_order(services: Services, tmp_path: Path) -> None:
    """Each once, in each order; of a search, of a state; and those in sight are told by one request."""
    fill(tmp_path, MANY)
    learning = services.learning(services.scripted().address)
    newest = [f"embedded-{number:05}" for number in reversed(range(MANY))]

    assert index_of(learning) == ExperimentIndexReply(ids=newest, total=MANY)
    assert index_of(learning, order="oldest").ids == newest[::-1]
    assert index_of(learning, order="name").ids == sorted(newest, key=lambda one: str(int(one[-5:])))
    assert set(index_of(learning, order="waiting").ids) == set(newest)
    assert index_of(learning, states=["failed", "running"]).ids == [f"embedded-{MANY // 2:05}"]
    assert index_of(learning, search="SWEEP no123", order="oldest").ids[0] == "embedded-00123"
    assert index_of(learning, archived=True).total == 0
    assert [one.experiment.experiment_name for one in overview_of(learning, *newest[:3], "nobody")] == [
        "Sweep 999",
        "Sweep 998",
        "Sweep 997",
    ]


def test_an_overview_says_what_leads_and_what_waits_for_stars(services: Services) -> None:
    """The best value's picture comes first; each result waits once; nothing waits where stars decide nothing."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning, replace(SMALL, jobs_per_variant=3))
    (new,) = overview_of(learning, EXPERIMENT)
    assert (new.leader, new.images, new.unrated, new.experiment.status) == (None, [], 0, "pending")
    wait_until(lambda: len(runner.jobs) == 6, what="the jobs")
    log_file = ImageRef(sha256="f" * 64, path="x/log", width=0, height=0, media_type="text/plain")
    hashes = {(index, repeat): f"{10 * index + repeat:064x}" for index in (0, 1) for repeat in range(3)}
    for (index, repeat), sha256 in hashes.items():
        runner.finish(f"exp-1.{index}.{repeat}.0", JobResult(success=True, images=(log_file, image(sha256))))
    wait_for(learning, "completed")

    (ended,) = overview_of(learning, EXPERIMENT)
    assert ([one.sha256 for one in ended.images], ended.unrated) == ([hashes[0, 0], hashes[1, 0]], 6)
    for (index, repeat), sha256 in hashes.items():
        if repeat < 2:
            said = RateParams(experiment_id=EXPERIMENT, image=sha256, stars=1 + 3 * index + repeat)
            request(address_of(learning), "image.rate", said, RatedReply)

    def leads() -> Leader | None:
        return overview_of(learning, EXPERIMENT)[0].leader

    wait_until(lambda: (leader := leads()) is not None and leader.value == 4.0, what="the answer")
    (rated,) = overview_of(learning, EXPERIMENT)
    assert [one.sha256 for one in rated.images] == [hashes[1, 0], hashes[0, 0]]
    assert rated.unrated == (0 if rated.leader and rated.leader.tier == "strong" else 2)
    request(address_of(learning), "experiment.set", {"experiment_id": EXPERIMENT, "objective": "seconds"}, dict)
    assert overview_of(learning, EXPERIMENT)[0].unrated == 0
    request(address_of(learning), "experiment.archive", ExperimentParams(experiment_id=EXPERIMENT), dict)
    assert (index_of(learning, archived=False).total, index_of(learning, archived=True).total) == (0, 1)


def test_what_waits_most_comes_first(services: Services, tmp_path: Path) -> None:
    """Of those that stars decide."""
    fill(tmp_path, 3)
    fill(tmp_path, 2, pipeline="webui", values=4)
    learning = services.learning(services.scripted().address)
    decided = {"experiment_id": "webui-00001", "objective": "prompt_match"}
    request(address_of(learning), "experiment.set", decided, dict)

    ids = index_of(learning, order="waiting").ids

    assert (ids[0], ids[-1]) == ("webui-00000", "webui-00001")


def test_replies_end_where_there_is_no_room(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left of an overview is named, and of an index counted; not more than `COUNTED` results are."""
    monkeypatch.setattr(listing, "COUNTED", 0)
    fill(tmp_path, 5)
    learning = services.learning(services.scripted().address)
    learning.call(
        lambda: setattr(learning.service._log, "limits", replace(learning.service._log.limits, page_bytes=50))
    )
    names = [f"embedded-{number:05}" for number in range(5)]

    reply = request(address_of(learning), "experiment.overview", {"experiment_ids": names}, OverviewReply)

    assert (len(reply.overviews), reply.rest) == (1, names[1:])
    assert [one.experiment.experiment_id for one in overview_of(learning, *names)] == names
    found = index_of(learning)
    assert (len(found.ids), found.total) == (2, 5)


def test_some_of_many_values_are_shown() -> None:
    """From the first to the last, at equal distances; and of ids as many as fit."""
    assert spread(range(11), 6) == [0, 2, 4, 6, 8, 10]
    assert spread([3, 5], 6) == [3, 5]
    assert spread([3, 5], 1) == [3]
    assert strip([0, 2, 4, 6], [4], 3) == [4, 0, 6]
    assert strip([0, 2], [2, 0], 1) == [2]
    assert strip([0, 2], [2], 1) == [2]
    assert fitting(["abc", "def"], 11) == ["abc"]
    assert fitting(["abc", "def"], 12) == ["abc", "def"]
