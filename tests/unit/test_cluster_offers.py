"""All runners of a cluster as one: what they offer together, and when one may not switch between it and others."""

from bus.cluster.messages import Announcement
from bus.contracts.jobs import LaneView, PipelinesReply, ScorerSpec
from bus.contracts.pipeline_specs import StageSpec, VariableSpec
from learning_service.cluster.announcements import ROOM, together
from learning_service.cluster.switching import refusal

HERE = StageSpec(variables={"steps": VariableSpec(kind="int")})
AWAY = StageSpec(unavailable="its server is away")


def lane(concurrency: int, *, paused: bool = False, waits_for: str = "") -> LaneView:
    """Return what a runner tells of a pipeline."""
    return LaneView(queued=2, running=1, concurrency=concurrency, room=7, paused=paused, waits_for=waits_for)


def announced(name: str, pipelines: dict[str, dict[str, StageSpec]], **fields: object) -> Announcement:
    """Return what a runner says of itself."""
    offers = {"outputs": "/", "queued": 2, "running": 1, **fields}
    return Announcement(
        runner=name,
        control="tcp://127.0.0.1:1",
        offers=PipelinesReply(pipelines=pipelines, **offers),  # type: ignore[arg-type]
    )


def test_pipelines_and_stages_are_joined_and_available_ones_preferred() -> None:
    """In whatever order they are found."""
    first = announced("a", {"webui": {"txt2img": AWAY, "img2img": HERE}})
    second = announced("b", {"webui": {"txt2img": HERE}, "noop": {"run": HERE}})
    for some in ([first, second], [second, first]):
        assert together(some).pipelines == {"webui": {"txt2img": HERE, "img2img": HERE}, "noop": {"run": HERE}}


def test_workers_are_added_and_there_is_room() -> None:
    """A search begins as many jobs as all runners run at once."""
    first = announced("a", {}, lanes={"webui": lane(1, paused=True, waits_for="the server")}, paused=True)
    second = announced("b", {}, lanes={"webui": lane(3)})
    found = together([first, second])
    expected = LaneView(queued=4, running=2, concurrency=4, room=ROOM, paused=False, waits_for="")
    assert found.lanes == {"webui": expected}
    assert (found.queued, found.running, found.paused, found.outputs) == (4, 2, False, "")
    waiting = together([first, first]).lanes["webui"]
    assert (waiting.paused, waiting.waits_for) == (True, "the server")


def test_scorers_are_joined() -> None:
    """One that many have is that of the first."""
    first = announced("a", {}, scorers={"sharp": ScorerSpec(about="one")})
    second = announced("b", {}, scorers={"sharp": ScorerSpec(about="two"), "bright": ScorerSpec()})
    assert together([second, first]).scorers == {"sharp": ScorerSpec(about="one"), "bright": ScorerSpec()}


def test_jobs_that_have_not_ended_forbid_to_switch() -> None:
    """Both ways, with what to do."""
    there = {"tcp://127.0.0.1:5561": 3}
    assert refusal(there, is_cluster=False) == refusal({"cluster": 2}, is_cluster=True) == ""
    text = "cluster: 3 jobs have not ended at the runner tcp://127.0.0.1:5561; start without --cluster until they have"
    assert refusal(there, is_cluster=True).startswith(text)
    text = "cluster: 2 jobs have not ended in the cluster; start with --cluster until they have"
    assert refusal({"cluster": 2}, is_cluster=False).startswith(text)
