"""What a server's refusal means for a job, by status and words."""

import pytest

from pipeline_runner.pipelines.refusals import TEXT_LIMIT, is_out_of_memory, one_line, refusal_kind


@pytest.mark.parametrize(
    ("statuses", "by_server", "kind"),
    [
        ((401, 403, 407), True, "unreachable"),
        ((401, 403, 404, 407, 502, 503, 504), False, "unreachable"),
        ((408, 425, 429, 503), True, "busy"),
        ((408, 425, 429), False, "busy"),
        ((500, 302), False, "server_error"),
        ((400, 404, 405, 413, 422), True, "invalid_request"),
        ((400, 413), False, "invalid_request"),
        ((500, 502, 504), True, "server_error"),
    ],
)
def test_a_status_decides_whether_the_job_is_to_blame(statuses: tuple[int, ...], by_server: bool, kind: str) -> None:
    """What a proxy says of a server that is away, and a server of its load, costs no job."""
    assert {refusal_kind(status, "words", by_server=by_server) for status in statuses} == {kind}


@pytest.mark.parametrize(
    "words", ["torch.OutOfMemoryError: x", "MemoryError", "CUDA out of memory", "Not enough memory: 9", "ok"]
)
def test_words_of_memory_count_where_the_server_failed(words: str) -> None:
    """In a refusal they may be those of the prompt."""
    expected = "server_error" if words == "ok" else "oom"

    assert is_out_of_memory(words) == (words != "ok")
    assert refusal_kind(500, words, by_server=True) == expected
    assert refusal_kind(422, words, by_server=True) == "invalid_request"


def test_words_are_one_line_of_bounded_length() -> None:
    """They travel in messages."""
    assert one_line(" a\n b\t") == "a b"
    assert len(one_line("x" * 9999)) == TEXT_LIMIT
