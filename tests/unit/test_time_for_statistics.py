"""What makes a learning service load its statistics has the time for it, also on a slow machine."""

import pytest

from bus.transport.client import REQUEST_SECONDS
from variantbus.client import experiments
from variantbus.dashboard import services


def test_the_first_answer_may_take_longer_than_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recommendation, and the pictures to rate or compare next on the dashboard."""
    asked: dict[str, float] = {}

    def request(
        _address: str, method: str, _params: object, _reply: type, seconds: float = REQUEST_SECONDS, *, keys: None
    ) -> None:
        assert keys is None
        asked[method] = seconds

    for module in (experiments, services):
        monkeypatch.setattr(module, "request", request)
    page = services.Services("tcp://127.0.0.1:1", "tcp://127.0.0.1:2", None)
    page.recommendation("exp-1")
    page.pair("exp-1", "")
    page.next_picture("exp-1", "")

    assert asked.keys() == {"experiment.recommend", "comparison.next", "rating.next"}
    assert all(seconds > REQUEST_SECONDS for seconds in asked.values()), asked
