"""Results that are there already: given again if nothing that decides them has changed, and made again otherwise."""

import pytest

from bus.contracts.messages import LearningContext
from bus.contracts.outputs import OutputRemoveReply
from pipeline_runner.execution.reuse import Reuse
from tests.support.factories import context
from tests.support.painting_runner import PaintingRunner, picture

MINE = context(experiment="exp-1")
OTHER = context(experiment="exp-2")


@pytest.fixture
def painting(painting_runner: PaintingRunner) -> PaintingRunner:
    """Return a runner whose pipeline says what decides its pictures, and one picture of the first experiment."""
    painting_runner.painter.told = "v1"
    painting_runner.paint("a", MINE)
    return painting_runner


def test_the_same_settings_give_the_same_result_without_a_run(painting: PaintingRunner) -> None:
    """It says which job made it; its time is that of the run."""
    again = painting.result("b", OTHER)
    third = painting.result("c", OTHER)

    assert painting.painter.runs == ["a"]
    assert (again.reused_from, third.reused_from) == ("a", "a")
    assert again.images[0].path.startswith("exp-1/")
    assert again.seconds is not None
    assert again.seconds > 0
    assert painting.output(again.images[0].sha256).data == picture()


@pytest.mark.parametrize(
    ("identity", "mark", "seed"), [("v2", OTHER, 1), (None, OTHER, 1), ("v1", None, 1), ("v1", OTHER, 2)]
)
def test_whatever_differs_is_made_again(
    painting: PaintingRunner, identity: str | None, mark: LearningContext | None, seed: int
) -> None:
    """Another version, another seed; what nobody can tell; and every job that belongs to no experiment."""
    painting.painter.told = identity

    result = painting.result("b", mark, seed)

    assert painting.painter.runs == ["a", "b"]
    assert result.reused_from is None


@pytest.mark.parametrize("damage", ["gone", "other"])
def test_a_file_that_is_not_what_it_was_is_made_again(painting: PaintingRunner, damage: str) -> None:
    """And from then on the new one is given."""
    path = next(painting.root.rglob("exp-1/**/*.png"))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"other")
    painting.painter.data = [picture((400, 400))]

    second, third = painting.result("b", OTHER), painting.result("c", OTHER)

    assert painting.painter.runs == ["a", "b"]
    assert (second.reused_from, third.reused_from) == (None, "b")


def test_a_result_stays_as_long_as_any_experiment_has_it(painting: PaintingRunner) -> None:
    """Removing the one that made it takes nothing from the other, and a third one still gets it."""
    again = painting.result("b", OTHER)

    painting.ask("output.remove", {"ended_before": 2.0**40, "experiment_ids": ["exp-1"]}, OutputRemoveReply)

    assert painting.output(again.images[0].sha256).data == picture()
    assert painting.result("c", context(experiment="exp-3")).reused_from == "a"
    assert painting.painter.runs == ["a"]
    params = {"ended_before": 2.0**40, "experiment_ids": ["exp-2", "exp-3"]}
    painting.ask("output.remove", params, OutputRemoveReply)
    assert painting.refusal("output", sha256=again.images[0].sha256)[0] == "not_found"
    assert list(painting.root.rglob("*.png")) == []
    assert painting.result("d", OTHER).reused_from is None


def test_what_changes_during_a_run_is_not_kept(
    painting_runner: PaintingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture may be of before or of after."""
    said = iter(["before", "after", "after", "after", "after", "after"])
    monkeypatch.setattr(painting_runner.painter, "identity", lambda *_: next(said))

    results = [painting_runner.result(name, MINE).reused_from for name in ("a", "b", "c")]

    assert results == [None, None, "b"]


def test_a_pipeline_that_fails_to_say_is_run(painting_runner: PaintingRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in may do anything."""

    def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(painting_runner.painter, "identity", broken)

    assert [painting_runner.result(name, MINE).reused_from for name in ("a", "b")] == [None, None]


def test_reuse_survives_a_restart(painting: PaintingRunner) -> None:
    """It is written with the end of the job."""
    log, service = painting.runner.log, painting.runner.service
    fresh = painting.runner.call(lambda: Reuse(log, service._service.store, painting.root))
    record = painting.runner.call(lambda: service._service.store.get("a"))
    assert record is not None

    found = painting.runner.call(lambda: fresh.find(record, "v1"))

    assert found is not None
    assert found.reused_from == "a"
