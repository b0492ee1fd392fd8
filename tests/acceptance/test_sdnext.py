"""An experiment at an SD.Next as a person runs it: our services as processes, and the fake server."""

from collections.abc import Iterator

import pytest

from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.jobs import PipelinesReply
from tests.servers.sdnext import FakeSdnext
from tests.support.checker import check_everything
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ROOT, Workspace, view_of

SAMPLERS, SEEDS = ("DPM++ 2M", "Euler", "Euler a", "UniPC"), (1234, 1235, 1236)
BEST = "Euler a"


@pytest.fixture
def server(no_leaks: None) -> Iterator[FakeSdnext]:  # noqa: ARG001 - it looks after us
    """Yield a fake SD.Next."""
    server = FakeSdnext()
    yield server
    server.stop()


def test_from_the_example_to_the_answer(workspace: Workspace, server: FakeSdnext) -> None:
    """One job a sampler and seed, which differ in nothing else; then stars, and the sampler that they are for."""
    runner = workspace.runner("--sdnext-url", server.url)
    learning = workspace.learning(runner)
    wait_until(
        lambda: not runner.ask("pipelines", {}, PipelinesReply).pipelines["sdnext"]["txt2img"].unavailable,
        COMMAND_SECONDS,
        what="what the server offers",
    )

    name = workspace.run("experiment", "run", ROOT / "examples" / "sdnext_sampler.toml", "--follow").out.split()[0]

    sent = server.sent()
    assert sorted((body["sampler_name"], body["seed"]) for body in sent) == [
        (sampler, seed) for sampler in SAMPLERS for seed in SEEDS
    ]
    rest = [{key: value for key, value in body.items() if key not in ("sampler_name", "seed")} for body in sent]
    assert all(one == rest[0] for one in rest)
    check_everything(runner, learning, name)
    for variant in view_of(learning, name).variants:
        for image in variant.images:
            stars = 5 if variant.variant_value == BEST else 1
            learning.ask("image.rate", RateParams(experiment_id=name, image=image.sha256, stars=stars), RatedReply)
    assert workspace.run("recommend", name, "--json").json["value"] == BEST
