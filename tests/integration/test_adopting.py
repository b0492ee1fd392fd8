"""Pictures that exist at the two services: parts, repeats, refusals, and what is left when one of them ends amid it."""

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from bus.contracts.adoption import AdoptParams, AdoptPictureParams, AdoptPictureReply
from bus.contracts.definition import Block
from bus.contracts.experiments import ExperimentView
from bus.contracts.jobs import JobRequest, JobView
from bus.contracts.messages import LearningContext
from bus.contracts.outputs import OutputReply
from bus.contracts.scoring import ScoreSettings
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.client import request
from pipeline_runner.outputs.adopting import Adopting
from tests.support.factories import definition
from tests.support.generated_pictures import A1111, broken, png, samples, text
from tests.support.helpers import REPLY_SECONDS, wait_until
from tests.support.learning_services import HeldPipeline, Services, address_of
from tests.support.painting_runner import PaintingRunner
from variantbus.adoption.planning import plan
from variantbus.adoption.scanning import scan
from variantbus.adoption.sending import Services as Both

NAME: Final = "cats-1"
PICTURE: Final = png(text("parameters", A1111))
PART: Final = len(PICTURE) // 3


def adopting(data: bytes = PICTURE, *, name: str = "a picture.png", place: str = "0.0.0", **others: Any) -> Any:
    """Return the parameters of `job.adopt` for a whole picture."""
    variant, repeat, _ = map(int, place.split("."))
    job = JobRequest(
        job_id=f"{NAME}.{place}",
        pipeline="webui",
        stage="txt2img",
        config={"cfg_scale": variant},
        learning_context=LearningContext(
            experiment_id=NAME,
            experiment_name="Cats",
            variant_index=variant,
            variable_under_test="cfg_scale",
            variant_value=variant,
            repeat_index=repeat,
        ),
    )
    sha256 = hashlib.sha256(data).hexdigest()
    given: dict[str, Any] = {"job": job, "sha256": sha256, "name": name, "size": len(data), "data": data, "seed": 42}
    return AdoptPictureParams(**{**given, **others})


def send(runner: PaintingRunner, params: Any) -> AdoptPictureReply:
    """Ask a runner."""
    reply: AdoptPictureReply = runner.ask("job.adopt", params, AdoptPictureReply)
    return reply


def test_a_picture_comes_in_parts_and_is_served_as_it_was(painting_runner: PaintingRunner) -> None:
    """A part that came already, or too early, adds nothing; the job has ended then, and never ran."""
    received = 0
    for offset in (0, PART, PART, 10 * PART):
        part = replace(adopting(), offset=offset, data=PICTURE[offset : offset + PART])
        reply = send(painting_runner, part)
        received = max(received, reply.received)
        assert not reply.done
    assert received == 2 * PART
    last = replace(adopting(), offset=received, data=PICTURE[received:])
    assert send(painting_runner, last) == AdoptPictureReply(received=len(PICTURE), done=True)
    assert send(painting_runner, last).done  # again

    job = painting_runner.ask("job.show", {"job_id": f"{NAME}.0.0.0"}, JobView)
    assert (job.state, job.attempt, job.started_at, job.pipeline) == ("completed", 0, None, "webui")
    image = job.result.images[0]
    assert (image.name, image.seed, image.width) == ("a picture.png", 42, 64)
    served = painting_runner.ask("output", {"sha256": image.sha256}, OutputReply)
    assert served.data == PICTURE
    assert painting_runner.painter.runs == []
    ends = painting_runner.runner.logged("job.completed.")
    assert len(ends) == 1
    assert list((painting_runner.root / ".adopting").iterdir()) == []


@pytest.mark.fault(item="F189")
def test_a_request_that_comes_again_while_the_picture_is_saved_waits_for_it(
    painting_runner: PaintingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that got no answer in time asks again; it is saved once, and both are answered."""
    going, saves = threading.Event(), list[str]()
    save = Adopting._save

    def slow(self: Adopting, record: Any, path: Path, params: Any) -> Any:
        saves.append(record.job_id)
        going.wait(REPLY_SECONDS)
        return save(self, record, path, params)

    monkeypatch.setattr(Adopting, "_save", slow)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(send, painting_runner, adopting()) for _ in range(2)]
        wait_until(lambda: bool(saves), what="the picture is being saved")
        going.set()
        assert [one.result().done for one in both] == [True, True]
    assert saves == [f"{NAME}.0.0.0"]


def test_a_job_of_the_same_id_that_comes_meanwhile_is_a_conflict(
    painting_runner: PaintingRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said that the picture is its result."""
    save = Adopting._save

    def slow(self: Adopting, record: Any, path: Path, params: Any) -> Any:
        painting_runner.submit(record.job_id)
        return save(self, record, path, params)

    monkeypatch.setattr(Adopting, "_save", slow)
    with pytest.raises(ControlError, match="is here already with another result"):
        send(painting_runner, adopting())


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"job": JobRequest(job_id="a", pipeline="webui", stage="s")}, "learning_context: missing"),
        ({"sha256": "0" * 64}, "does not match"),
    ],
)
def test_a_picture_that_makes_no_sense_is_refused(
    painting_runner: PaintingRunner, params: dict[str, Any], words: str
) -> None:
    """Nothing of it is kept."""
    with pytest.raises(ControlError, match=words):
        send(painting_runner, adopting(**params))

    assert painting_runner.runner.logged("job.completed.") == []
    assert not list((painting_runner.root / ".adopting").glob("*"))


def test_a_job_has_one_picture_and_a_configuration_has_a_most(painting_runner: PaintingRunner) -> None:
    """Another picture under its id is a conflict; a name is harmless, whatever it has."""
    assert send(painting_runner, adopting(name="../../etc/x.p ng")).done
    with pytest.raises(ControlError, match="is here already with another result"):
        send(painting_runner, adopting(png(text("parameters", "x"))))
    large = adopting(place="1.0.0")
    job = JobRequest(
        job_id=large.job.job_id,
        pipeline="p",
        stage="s",
        config={"a": "x" * 300_000},
        learning_context=large.job.learning_context,
    )
    with pytest.raises(ControlError, match="shorten its texts"):
        send(painting_runner, adopting(place="1.0.0", job=job))
    assert send(painting_runner, adopting(b"no picture at all", name="x.avif", place="2.0.0")).done


def ask(learning: str, **changes: Any) -> ExperimentView:
    """Ask for an adopted experiment."""
    given: dict[str, Any] = {"experiment_id": NAME, "definition": definition(), "values": [1, 2]}
    return request(learning, "experiment.adopt", AdoptParams(**{**given, **changes}), ExperimentView)


def test_values_come_first_and_what_a_person_changed_stays(services: Services) -> None:
    """An adopted experiment has ended from the beginning, and grows by values at its end."""
    learning = address_of(services.learning(services.scripted().address))

    first = ask(learning, definition=replace(definition(), score=ScoreSettings(command=("rm",))))
    assert first.definition.score is None or not first.definition.score.command
    assert (first.status, [one.variant_value for one in first.variants], first.totals.jobs) == ("completed", [1, 2], 0)
    request(learning, "experiment.rename", {"experiment_id": NAME, "name": "Mine"}, ExperimentView)
    request(learning, "experiment.set", {"experiment_id": NAME, "within": "20%"}, ExperimentView)
    more = ask(learning, values=[1, 2, 3])
    assert (more.definition.name, [one.variant_value for one in more.variants]) == ("Mine", [1, 2, 3])
    assert more.definition.within == "20%"
    assert ask(learning, values=[1, 2, 3]).totals.variants == 3
    for changes, words in (
        ({"values": [1, 3]}, "has 2 as value #2"),
        ({"values": [1]}, "has 2 as value #2"),
        ({"values": [1, 1]}, "one is there twice"),
        ({"values": [{"a": 1}]}, "is no value of cfg_scale"),
        ({"definition": replace(definition(), mode="adaptive", budget=9)}, "nothing is searched"),
        ({"definition": replace(definition(), within="soon")}, "within: 'soon' is no share"),
        ({"definition": replace(definition(config={}), blocks=(Block(config={"prompt": "a"}),))}, "choose another id"),
        ({"values": list(range(1001))}, "1001 variants are more than 1000"),
    ):
        with pytest.raises(ControlError, match=words):
            ask(learning, **changes)
    request(learning, "experiment.archive", {"experiment_id": NAME}, ExperimentView)
    with pytest.raises(ControlError, match="is archived"):
        ask(learning)
    request(learning, "experiment.delete", {"experiment_id": NAME}, dict)
    with pytest.raises(ControlError, match="was deleted; choose another id"):
        ask(learning)


def fill(folder: Path, seeds: range) -> None:
    """Write a sweep of two values."""
    for cfg in (3, 7):
        for seed in seeds:
            told = A1111.replace("scale: 7.5", f"scale: {cfg}").replace("Seed: 42", f"Seed: {seed}")
            (folder / f"{cfg}-{seed}.png").write_bytes(png(text("parameters", told), shade=cfg * 50 + seed))


@pytest.mark.fault(item="F189")
def test_what_was_interrupted_goes_on_and_what_was_deleted_is_made_anew(services: Services, tmp_path: Path) -> None:
    """A client that dies after some pictures leaves an experiment of these, to which the next one adds the others."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    fill(folder, range(3))
    runner = str(services.runner(HeldPipeline()).service.publisher.control)
    learning = address_of(services.learning(runner))
    both = Both(learning, runner, None)

    name, none = both.find("Sweep", folder)
    assert none is None
    whole = plan(scan(folder).found, "Sweep")
    both.begin(name, whole)
    both.send(name, whole._replace(placed=whole.placed[:2]), lambda _: None)
    both.wait(name, 2)
    found, present = both.find("Sweep", folder)
    assert (found, present is not None) == (name, True)
    rest = plan(scan(folder).found, "Sweep", present=present)
    assert (len(rest.placed), rest.known) == (4, 2)
    both.begin(name, rest)
    done: list[int] = []
    both.send(name, rest, done.append)
    view = both.wait(name, 6)
    assert done[-1] == 4
    assert [(one.variant_value, one.completed, one.status) for one in view.variants] == [
        (3, 3, "completed"),
        (7, 3, "completed"),
    ]
    assert view.definition.seeds == (0, 1, 2)

    request(learning, "experiment.delete", {"experiment_id": name}, dict)
    other, none = both.find("Sweep", folder)
    assert (other != name, none) == (True, None)
    both.begin(other, whole)
    both.send(other, whole, lambda _: None)
    both.wait(other, 6)
    wait_until(lambda: not _has_job(runner, f"{name}.0.0.0"), what="the runner removes what was deleted")
    assert _has_job(runner, f"{other}.0.0.0")


def _has_job(runner: str, name: str) -> bool:
    try:
        request(runner, "job.show", {"job_id": name}, JobView)
    except ControlError:
        return False
    return True


def test_a_changed_picture_and_a_runner_that_nobody_follows_are_told(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence each, which says what to do."""
    monkeypatch.setattr("variantbus.adoption.sending.APPLIED_SECONDS", 0.1)
    folder = tmp_path / "pictures"
    folder.mkdir()
    fill(folder, range(1))
    runner = str(services.runner(HeldPipeline()).service.publisher.control)
    learning = address_of(services.learning(services.scripted().address))
    both = Both(learning, runner, None)
    made = plan(scan(folder).found, "Sweep")
    name, _ = both.find("Sweep", folder)
    both.begin(name, made)
    both.send(name, made, lambda _: None)
    with pytest.raises(ControlError, match="hears nothing of the runner"):
        both.wait(name, 2)
    (folder / "3-0.png").write_bytes(PICTURE)
    with pytest.raises(InvalidInputError, match="was changed meanwhile"):
        both.send(name, made, lambda _: None)


@pytest.mark.fault(item="B71")
def test_every_kind_of_picture_is_found_and_every_other_file_has_a_reason(tmp_path: Path) -> None:
    """Over thirty kinds, among broken files, links, copies, hidden folders and folders in folders."""
    kinds = list(samples())
    inner = tmp_path / "more" / "and more"
    inner.mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for place, sample in enumerate(kinds):
        (inner if place % 2 else tmp_path).joinpath(sample.name).write_bytes(sample.data)
    for name, data in broken():
        (tmp_path / name).write_bytes(data)
    (tmp_path / ".hidden" / "one.png").write_bytes(PICTURE)
    (tmp_path / "link.png").symlink_to(tmp_path / "text.png")
    (tmp_path / "folder").symlink_to(inner)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zz copy.png").write_bytes((tmp_path / "text.png").read_bytes())
    grid = A1111.replace("Clip skip: 2", "Script: X/Y/Z plot, X Type: Steps, X Values: 10-20")
    (tmp_path / "grid.png").write_bytes(png(text("parameters", grid)))
    (tmp_path / "long.png").write_bytes(png(text("parameters", "a" * 100_000 + A1111)))
    odd = A1111.replace("Clip skip", "x" * 101)
    (tmp_path / "odd.png").write_bytes(png(text("parameters", odd), shade=3))
    (tmp_path / "large.png").write_bytes(PICTURE)
    os.truncate(tmp_path / "large.png", 65 << 20)
    (tmp_path / "10.png").write_bytes(png(text("parameters", A1111), shade=1))
    (tmp_path / "9.png").write_bytes(png(text("parameters", A1111), shade=2))

    found = scan(tmp_path)

    assert len(kinds) >= 30
    names = [one.path.name for one in found.found]
    assert {one.name for one in kinds} <= {*names}
    assert names.index("9.png") < names.index("10.png")
    reasons = {one.file: one.reason for one in found.ignored}
    assert {name for name, _ in broken()} <= reasons.keys()
    assert reasons["link.png"] == reasons["pipe.png"] == "a link, or no file"
    assert reasons["zz copy.png"] == "a copy of another picture"
    assert reasons["grid.png"] == "a grid of many pictures"
    assert reasons["long.png"] == "settings of over 96 KiB"
    assert all(len(key) <= 100 for one in found.found for key in one.settings)
    assert reasons["large.png"] == "larger than 64 MiB"
    assert reasons["signature.png"] == reasons["tail.avif"] == "cut off"
    assert reasons["page.png"] == reasons["text.txt"] == "no picture"
    assert not any("hidden" in name or name.startswith("folder") for name in (*names, *reasons))
    with pytest.raises(InvalidInputError, match="is no folder"):
        scan(tmp_path / "text.png")


def test_our_own_results_are_read_from_the_json_beside_them(painting_runner: PaintingRunner) -> None:
    """The folder of a runner can be adopted, too; what is beside a picture is complete."""
    assert send(painting_runner, adopting(place="5.0.0")).done

    found = scan(painting_runner.root).found

    assert [(one.pipeline, one.settings) for one in found] == [("webui", {"cfg_scale": 5})]


def test_names_that_no_message_can_hold_are_left_out(tmp_path: Path) -> None:
    """Half a surrogate or a NUL in the name of a setting costs that setting, and a strange sidecar only itself."""
    odd = json.dumps({"positive_prompt": "a fox", "steps": 3, "half \ud800": 1, "nul \0": 2})
    picture = png(text("invokeai_metadata", odd))
    sha256 = hashlib.sha256(picture).hexdigest()
    (tmp_path / f"{sha256}.png").write_bytes(picture)
    for number, pipeline in enumerate(("", "x" * 65, "half \ud800")):
        beside = {"pipeline": pipeline, "config": {"steps": 4}}
        (tmp_path / f"{sha256}.{number}.json").write_text(json.dumps(beside), encoding="utf-8")

    (found,) = scan(tmp_path).found

    assert found.pipeline == "invokeai"
    assert found.settings["steps"] == 3
    assert all(name.isprintable() for name in found.settings)
