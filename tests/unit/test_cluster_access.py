"""What a person gives as `--cluster`."""

import pytest

from bus.cluster import names
from bus.cluster.access import Access, parse_access
from bus.protocol.validation import InvalidInputError


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nats://a,b,c", ("nats://a:4222", "nats://b:4222", "nats://c:4222")),
        ("nats://a:1,nats://b:2", ("nats://a:1", "nats://b:2")),
        ("tls://a.example.org,[::1]:7", ("tls://a.example.org:4222", "tls://[::1]:7")),
    ],
)
def test_addresses_are_separated_by_commas(text: str, servers: tuple[str, ...]) -> None:
    """The scheme and the usual port need not be written again and again."""
    assert parse_access(text) == Access(servers=servers)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://a", "no address of a server"),
        ("nats://", "no address of a server"),
        ("nats://a,,b", "no address of a server"),
        ("nats://a:port", "no address of a server"),
        ("nats://a:0", "no address of a server"),
        ("nats://a:65536", "no address of a server"),
        ("nats://a b", "no address of a server"),
        ("nats://::1", "no address of a server"),
        ("", "no address of a server"),
        ("nats://a/b", "no address of a server"),
        ("nats://user:secret@a", "put credentials into a file"),
        ("no/such/file.toml", "cannot be read"),
    ],
)
def test_what_is_no_cluster_is_refused_with_what_to_write(text: str, problem: str) -> None:
    """And no secret is repeated."""
    with pytest.raises(InvalidInputError, match=problem) as caught:
        parse_access(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("pipeline", "job_id", "subject", "consumer"),
    [
        ("noop", "e-1", "job.noop.normal.e-1", "noop-normal"),
        ("my pipe.line", "a.b*>", "job.my%20pipe%2Eline.normal.a%2Eb%2A%3E", "my=20pipe=2Eline-normal"),
    ],
)
def test_no_name_breaks_a_subject(pipeline: str, job_id: str, subject: str, consumer: str) -> None:
    """A dot, a star or a blank in a name means nothing to the servers."""
    assert names.job_subject(pipeline, names.band_of(0), job_id) == subject
    assert names.consumer_of(pipeline, "normal") == consumer
    assert names.jobs_of(pipeline, "normal") == subject.rpartition(".")[0] + ".*"


def test_a_priority_has_a_band() -> None:
    """Workers look into the bands from the first to the last."""
    assert [names.band_of(priority) for priority in (100, 1, 0, -1, -100)] == ["high", "high", "normal", "low", "low"]
    assert names.end_subject("e.1", 3, "j") == "end.e%2E1.3.j"
    assert names.any_end_of("j.1") == "end.*.*.j%2E1"
    assert names.any_job_of("j.1") == "job.*.*.j%2E1"
    assert names.ends_of("e.1") == "end.e%2E1.>"
