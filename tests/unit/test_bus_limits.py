"""Bounds that have to fit together."""

import pytest

from bus.config.limits import DEFAULT_LIMITS, KIB, MIB, Limits, check_limits
from bus.protocol.validation import InvalidInputError


@pytest.mark.parametrize("limits", [DEFAULT_LIMITS, Limits(job_bytes=MIB, body_bytes=2 * MIB, request_bytes=2 * MIB)])
def test_a_job_fits_twice_into_a_message_and_a_request(limits: Limits) -> None:
    """It travels with its result, or among others."""
    check_limits(limits)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (
            Limits(job_bytes=512 * KIB + 1),
            "job_bytes: 524289 is more than half of body_bytes (1048576); lower it",
        ),
        (
            Limits(job_bytes=MIB, body_bytes=2 * MIB, request_bytes=MIB),
            "job_bytes: 1048576 is more than half of request_bytes (1048576); lower it",
        ),
    ],
)
def test_a_job_that_does_not_is_refused(limits: Limits, sentence: str) -> None:
    """The sentence names both bounds."""
    with pytest.raises(InvalidInputError) as refused:
        check_limits(limits)
    assert str(refused.value) == sentence
