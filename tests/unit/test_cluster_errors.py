"""What errors of a cluster say to people."""

import nats.errors
import pytest
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from bus.cluster.errors import ClusterError, told


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ServiceUnavailableError(code=503, err_code=10023, description="insufficient resources"), "no room left"),
        (APIError(code=500, err_code=10077, description="maximum bytes exceeded"), "no room left"),
        (APIError(code=500, err_code=10051, description="write x.blk: no space left on device"), "no room left"),
        (APIError(code=400, err_code=10059, description="stream not found"), "^stream not found$"),
        (ServiceUnavailableError(), "JetStream does not answer"),
        (NoStreamResponseError(), "no stream takes this now"),
        (nats.errors.AuthorizationError(), "credentials"),
        (ClusterError("our own words"), "^our own words$"),
        (TimeoutError(), "no answer came in time"),
        (nats.errors.TimeoutError(), "no answer came in time"),
        (ValueError(), "^ValueError$"),
    ],
)
def test_an_error_says_what_it_means(error: Exception, sentence: str) -> None:
    """Without numbers and names of classes where there are words."""
    with pytest.raises(ClusterError, match=sentence):
        raise ClusterError(told(error))
