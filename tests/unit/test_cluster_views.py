"""Jobs of a cluster as they are shown: by their end, by their request, by their id."""

from bus.contracts.jobs import JobRequest
from learning_service.cluster import views
from tests.support.factories import CANCELLED, JobScript, badly, well

REQUEST = JobRequest(job_id="exp.3.0.1", pipeline="embedded", stage="txt2img", config={"steps": 3}, priority=2)


def test_the_id_of_a_planned_job_tells_where_its_end_is() -> None:
    """Others have to be searched for."""
    assert views.end_subject("exp.3.0.1") == "end.exp.3.exp%2E3%2E0%2E1"
    assert views.end_subject("single") == "end.*.*.single"
    assert views.end_subject("a.b.c.d") == "end.*.*.a%2Eb%2Ec%2Ed"


def test_a_job_is_shown_as_its_end_or_its_request_tells() -> None:
    """The state is that of its result."""
    script = JobScript(None, "single")
    states = [views.ended(script.completed(result)).state for result in (well(), badly(), CANCELLED)]
    assert states == ["completed", "failed", "cancelled"]
    waiting = views.waiting(REQUEST)
    assert (waiting.state, waiting.job_id, waiting.priority, waiting.result) == ("queued", "exp.3.0.1", 2, None)


def test_a_cancelled_job_has_the_end_of_one_that_never_ran() -> None:
    """Whoever reads it counts no time."""
    end = views.cancelled(REQUEST, 7.0)
    assert (end.result, end.started_at, end.finished_at, end.config) == (CANCELLED, None, 7.0, {"steps": 3})
