"""Subjects of the cluster: whatever an id holds, it is one token."""

import pytest

from bus.cluster import names


@pytest.mark.parametrize(("priority", "band"), [(5, "high"), (1, "high"), (0, "normal"), (-1, "low"), (-100, "low")])
def test_a_priority_has_a_band(priority: int, band: str) -> None:
    """There are three, and workers look in this order."""
    assert names.band_of(priority) == band
    assert names.BANDS == ("high", "normal", "low")


def test_a_job_waits_on_a_subject_of_its_own() -> None:
    """A consumer takes those of a pipeline and a band."""
    assert names.job_subject("embedded", "high", "exp-1-0-0") == "job.embedded.high.exp-1-0-0"
    assert names.jobs_of("embedded", "high") == "job.embedded.high.*"


def test_no_id_is_a_wildcard_or_two_tokens() -> None:
    """A dot, a star, a greater-than and a blank are encoded."""
    assert names.job_subject("a.b", "low", "*>") == "job.a%2Eb.low.%2A%3E"
    assert names.end_subject("my exp", 3, "a.b") == "end.my%20exp.3.a%2Eb"
    assert names.any_end_of("a.b") == "end.*.*.a%2Eb"


def test_consumers_of_different_pipelines_have_different_names() -> None:
    """None has a sign that JetStream forbids in names."""
    found = [names.consumer_of(pipeline, band) for pipeline in ("a.b", "a b", "a-b", "a") for band in names.BANDS]
    assert len(set(found)) == len(found)
    assert not set("".join(found)) & set("%.*> ")
