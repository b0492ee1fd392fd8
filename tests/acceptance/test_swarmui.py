"""An experiment at a SwarmUI as a person runs it: our services as processes, and the fake server."""

from collections.abc import Iterator

import pytest

from bus.contracts.feedback import RatedReply, RateParams
from bus.contracts.jobs import PipelinesReply
from tests.servers.swarmui import FakeSwarmui
from tests.support.checker import check_everything
from tests.support.helpers import wait_until
from tests.support.workspace import COMMAND_SECONDS, ROOT, Workspace, view_of

EXAMPLE = (ROOT / "examples" / "swarmui_guidance.toml").read_text(encoding="utf-8")
MODEL = "OfficialStableDiffusion/sd_xl_base_1.0"
VALUES, SEEDS = (3, 5, 7, 9), (1234, 1235, 1236)
BEST = 5


@pytest.fixture
def server(no_leaks: None) -> Iterator[FakeSwarmui]:  # noqa: ARG001 - it looks after us
    """Yield a fake SwarmUI that has the model of the example."""
    server = FakeSwarmui()
    server.models["Stable-Diffusion"].append(f"{MODEL}.safetensors")
    yield server
    server.release()
    server.stop()


def test_from_the_example_to_the_answer(workspace: Workspace, server: FakeSwarmui) -> None:
    """One job a value and seed, which differ in nothing else; then stars, and the value that they are for."""
    runner = workspace.runner("--swarmui-url", server.url)
    learning = workspace.learning(runner)
    wait_until(
        lambda: not runner.ask("pipelines", {}, PipelinesReply).pipelines["swarmui"]["txt2img"].unavailable,
        COMMAND_SECONDS,
        what="what the server offers",
    )
    file = workspace.write("experiment.toml", EXAMPLE)

    name = workspace.run("experiment", "run", file, "--follow").out.split()[0]

    sent = server.sent()
    assert sorted((body["cfgscale"], body["seed"]) for body in sent) == [
        (cfg, seed) for cfg in VALUES for seed in SEEDS
    ]
    rest = [{key: value for key, value in body.items() if key not in ("cfgscale", "seed")} for body in sent]
    assert all(one == rest[0] for one in rest)
    assert rest[0]["model"] == MODEL
    check_everything(runner, learning, name)
    for variant in view_of(learning, name).variants:
        for image in variant.images:
            stars = 5 if variant.variant_value == BEST else 1
            learning.ask("image.rate", RateParams(experiment_id=name, image=image.sha256, stars=stars), RatedReply)
    assert workspace.run("recommend", name, "--json").json["value"] == BEST
