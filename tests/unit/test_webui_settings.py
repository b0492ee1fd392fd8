"""The settings of a web UI: whether they are the same, and whether a picture was surely made with them."""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import pytest

from bus.contracts.fields import Config
from pipeline_runner.pipelines.http_client import HttpClient, Reply, ServerFault
from pipeline_runner.pipelines.webui.answer import read_answer
from pipeline_runner.pipelines.webui.lists import Checkpoint
from pipeline_runner.pipelines.webui.settings import (
    Made,
    Settings,
    agrees,
    digest,
    left_over,
    put_back,
    read_settings,
    title_of,
)
from tests.support.webui_jobs import CONFIG, lists_of

OPTIONS: Final[dict[str, Any]] = {
    "sd_model_checkpoint": "photo/real.safetensors [ab12cd34ef]",
    "sd_checkpoint_hash": "ab12cd34ef" + "0" * 54,
    "sd_vae": "Automatic",
    "CLIP_stop_at_last_layers": 1,
    "randn_source": "GPU",
    "eta_noise_seed_delta": 0,
}
INFO: Final[Mapping[str, Any]] = {"sd_model_name": "real", "sd_model_hash": "ab12cd34ef", "clip_skip": 1}
REAL: Final = Checkpoint(
    "photo/real.safetensors [ab12cd34ef]", "photo/real.safetensors", "real", "ab12cd34ef", "ab12cd34ef" + "0" * 54
)


def is_made_so(
    config: Config | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None,
    text: str = "Steps: 4",
    seen: tuple[Mapping[str, Any], ...] = (),
    as_asked: bool = True,
) -> bool:
    """Compare settings with what a server says that it has used."""
    told = {**INFO, **(info or {}), "infotexts": [f"a prompt\n{text}"]}
    answer = read_answer("txt2img", Reply(200, json.dumps({"images": ["AAAA"], "info": json.dumps(told)}).encode()))
    made = Made(job_id="job-1", answer=answer, as_asked=as_asked, seen=seen)
    return agrees(config or CONFIG, Settings({**OPTIONS, **(options or {})}, REAL), made)


def hashed(model: Checkpoint = REAL, *, forge: bool = False, **options: Any) -> str:
    """Return the hash of changed settings."""
    return digest(Settings({**OPTIONS, **options}, model), forge=forge)


def test_any_setting_counts() -> None:
    """1 and 1.0 are the same."""
    assert hashed() == hashed(CLIP_stop_at_last_layers=1.0)
    assert hashed() != hashed(an_extension=[1])
    assert hashed() != hashed(sd_vae="a")
    assert hashed() != hashed(forge=True)


def test_the_model_of_the_job_counts_and_not_the_loaded_one() -> None:
    """With its hash."""
    assert hashed() == hashed(sd_model_checkpoint="a", sd_checkpoint_hash="b")
    assert hashed() != hashed(REAL._replace(sha256="c"))
    assert hashed() != hashed(REAL._replace(file="dup/real.safetensors"))


def test_a_model_is_read_by_its_title() -> None:
    """A name that the server does not know has a title that it does not list."""
    assert title_of({"model": "real"}, lists_of()) == "photo/real.safetensors [ab12cd34ef]"
    assert title_of({"model": "gone"}, lists_of()) == ""
    assert title_of(CONFIG, lists_of()) is None


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"config": {"clip_skip": 2}, "info": {"clip_skip": 2}},
        {"config": {"model": "real"}, "options": {"sd_model_checkpoint": "sd15.safetensors"}},
        {"config": {"vae": "a.pt"}, "options": {"sd_vae": "None"}, "info": {"sd_vae_name": "a.pt"}},
        {"options": {"sd_vae": "vae/a.pt"}, "info": {"sd_vae_name": "a.pt"}},
        {"options": {"sd_vae": "None"}, "info": {"sd_vae_name": None}},
        {"options": {"sd_checkpoint_hash": None}},
        {"info": {"sd_model_hash": None}},
        {"options": {"randn_source": "CPU"}, "text": "Steps: 4, RNG: CPU"},
        {"seen": (OPTIONS, {**OPTIONS, "sd_checkpoint_hash": "b"})},
        {"config": {"clip_skip": 2}, "info": {"clip_skip": 2}, "seen": ({**OPTIONS, "CLIP_stop_at_last_layers": 2},)},
        {"config": {"vae": "a.pt"}, "seen": ({**OPTIONS, "sd_vae": "a.pt"},)},
        {
            "options": {"forge_additional_modules": ["/models/VAE/ae.safetensors"]},
            "text": "Steps: 4, Module 1: ae",
        },
        {
            "config": {"vae": "ae.safetensors"},
            "options": {"forge_additional_modules": []},
            "seen": ({**OPTIONS, "forge_additional_modules": ["ae.safetensors"]},),
        },
    ],
)
def test_a_picture_that_was_made_with_the_settings(told: dict[str, Any]) -> None:
    """What the job sets itself may differ from them."""
    assert is_made_so(**told)


@pytest.mark.parametrize(
    "told",
    [
        {"as_asked": False},
        {"text": ""},
        {"info": {"sd_model_name": "sd15"}},
        {"info": {"sd_model_name": None}},
        {"info": {"sd_model_hash": "6ce0161689"}},
        {"info": {"clip_skip": 2}},
        {"info": {"clip_skip": None}},
        {"config": {"clip_skip": 2}},
        {"options": {"sd_vae": "a.pt"}, "info": {"sd_vae_name": "b.pt"}},
        {"options": {"sd_vae": "None"}, "info": {"sd_vae_name": "b.pt"}},
        {"text": "Steps: 4, RNG: CPU"},
        {"text": "Steps: 4, ENSD: 31337"},
        {"seen": ({**OPTIONS, "sd_vae": "a.pt"}, OPTIONS)},
        {"seen": ({name: value for name, value in OPTIONS.items() if name != "sd_vae"},)},
        {"options": {"forge_additional_modules": ["ae.safetensors"]}, "text": "Steps: 4, Module 1: clip_l"},
    ],
)
def test_where_anything_is_uncertain_a_picture_is_not_reused(told: dict[str, Any]) -> None:
    """Somebody has changed a setting for some time, or the server does not say what it has used."""
    assert not is_made_so(**told)


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ({"a": 1, "b": 2}, {"a": 2.0, "b": 2}, {"a": 1}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 2}, {"a": 2}, {}),
        ({"a": 1}, {"a": 3}, {}),
        ({"a": 1}, {}, {}),
        ({}, {"a": 2}, {}),
    ],
)
def test_only_what_our_job_has_surely_left_behind_is_put_back(
    before: dict[str, Any], after: dict[str, Any], left: dict[str, Any]
) -> None:
    """Its value stands there, and another one stood there before."""
    assert left_over(before, after, {"a": 2}) == left


class Server:
    """Stands in for the client of a server: what it answers next, by the end of the path, and what it is sent."""

    def __init__(self, **changes: Any) -> None:
        """Be idle, with our settings, unless something else is said."""
        idle = {"progress": 0, "state": {"job_count": 0, "job_timestamp": "1"}}
        models = [{"title": REAL.title, "model_name": "photo_real", "hash": REAL.hash, "sha256": REAL.sha256}]
        self.answers: dict[str, list[Any]] = {
            name: changes.get(name, [usual])
            for name, usual in (("progress", idle), ("options", OPTIONS), ("sd-models", models))
        }
        self.taken: list[object] = []
        self.reply = Reply(200, b"null")

    def get(self, path: str, _query: object = None, *, seconds: float) -> Reply:
        """Answer a request; the last answer is repeated."""
        assert seconds
        answers = self.answers[path.rpartition("/")[2]]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(found, ServerFault):
            raise found
        return Reply(500, b"{}") if found is None else Reply(200, json.dumps(found).encode())

    def post(self, _path: str, body: object, *, seconds: float) -> Reply:
        """Take what is sent."""
        assert seconds
        self.taken.append(body)
        if self.reply.status == 0:
            raise ServerFault("unreachable", "away")
        return self.reply

    def read(self, title: str | None = None) -> Settings | None:
        """Read its settings."""
        return read_settings(cast("HttpClient", self), title)

    def put_back(self, before: Settings | None, own: Mapping[str, Any]) -> None:
        """Undo what a job has left behind."""
        put_back(cast("HttpClient", self), before, own)


def state(timestamp: str, *, busy: bool = False) -> dict[str, Any]:
    """Return what a server says of its work."""
    return {"progress": 0, "state": {"job_count": int(busy), "job_timestamp": timestamp}}


def test_the_settings_of_an_idle_server_are_read() -> None:
    """With the model of the job, or that of the settings, whatever its hash was."""
    for title in (None, REAL.title, REAL.file, "photo/real.safetensors [0000000000]"):
        found = Server().read(title)
        assert found is not None
        assert (found.options, found.model.sha256) == (OPTIONS, REAL.sha256)


@pytest.mark.parametrize(
    "server",
    [
        Server(progress=[state("1", busy=True)]),
        Server(progress=[state("1"), state("2", busy=True)]),
        Server(progress=[state("1"), state("2")]),
        Server(progress=[None]),
        Server(options=[None]),
        Server(options=[[]]),
        Server(options=[{**OPTIONS, "sd_model_checkpoint": None}]),
        Server(options=[ServerFault("unreachable", "away")]),
        Server(**{"sd-models": [None]}),
        Server(**{"sd-models": [7]}),
        Server(**{"sd-models": [[]]}),
    ],
)
def test_settings_that_are_uncertain_are_none(server: Server) -> None:
    """Somebody's job runs or has run meanwhile, or the server does not say."""
    assert server.read() is None


@pytest.mark.parametrize("status", [200, 500, 0])
def test_what_a_job_left_behind_is_sent_back(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Where that fails, the log says so."""
    server = Server(options=[{**OPTIONS, "CLIP_stop_at_last_layers": 2}])
    server.reply = Reply(status, b"null")

    with caplog.at_level("INFO"):
        server.put_back(Settings(OPTIONS, REAL), {"CLIP_stop_at_last_layers": 2})

    assert server.taken == [{"CLIP_stop_at_last_layers": 1}]
    assert ("cannot be put back" in caplog.text) == (status != 200)


@pytest.mark.parametrize(
    ("before", "own"),
    [(None, {"CLIP_stop_at_last_layers": 2}), (Settings(OPTIONS, REAL), {}), (Settings({}, REAL), {"a": 1})],
)
def test_where_nothing_was_left_behind_for_certain_nothing_is_sent(
    before: Settings | None, own: Mapping[str, Any]
) -> None:
    """The settings before were not known, or are the same."""
    server = Server(options=[{**OPTIONS, "CLIP_stop_at_last_layers": 2}])
    server.put_back(before, own)

    assert server.taken == []
