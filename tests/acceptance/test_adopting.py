"""Pictures that exist, from their folder to the answer: nothing is generated, and the folder stays as it is."""

import hashlib
from pathlib import Path

import pytest

from bus.contracts.feedback import RateParams
from bus.protocol.control import ControlError
from tests.support.experiment_files import services
from tests.support.generated_pictures import A1111, broken, png, text
from tests.support.helpers import wait_until
from tests.support.workspace import Running, Workspace, view_of

CFG = (3, 7, 12)
SEEDS = (11, 12)


def infotext(cfg: float, seed: int, prompt: str) -> str:
    """Write what the web UI writes for one picture of a sweep."""
    return A1111.replace("a red fox, in snow", prompt).replace("scale: 7.5", f"scale: {cfg}").replace("42", str(seed))


def fill(folder: Path, cfg: tuple[int, ...]) -> None:
    """Write a picture for each value, seed and prompt."""
    for prompt in ("a red fox", "a blue star"):
        for place, one in enumerate(cfg):
            for seed in SEEDS:
                data = png(text("parameters", infotext(one, seed, prompt)), shade=one * 100 + seed * 3 + len(prompt))
                (folder / f"{prompt[2:5]}-{place}-{seed}.png").write_bytes(data)


def hashes(folder: Path) -> dict[str, str]:
    """Return what a folder has."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_of_pictures_becomes_an_experiment_with_an_answer(workspace: Workspace) -> None:
    """Adopt, rate, recommend, report; what is new in the folder is added, and ratings stay."""
    _runner, learning = services(workspace)
    folder = workspace.folder / "CFG test"
    folder.mkdir()
    fill(folder, CFG)
    for name, data in broken():
        (folder / name).write_bytes(data)
    before = hashes(folder)

    seen = workspace.run("experiment", "adopt", str(folder), "--dry-run", "--json").json
    assert [one["name"] for one in seen["variables"]] == ["cfg_scale"]
    assert seen["prompts"]["name"] == "prompt"
    assert seen["adopted"] == len(CFG) * len(SEEDS) * 2
    adopted = workspace.run("experiment", "adopt", str(folder))
    name = adopted.out.strip()
    assert name == seen["experiment_id"]

    view = view_of(learning, name)
    assert view.status == "completed"
    assert [variant.variant_value for variant in view.variants] == list(CFG)
    assert all(variant.completed == len(SEEDS) * 2 for variant in view.variants)
    for variant in view.variants:
        for image in variant.images:
            stars = 5 if variant.variant_value == 7 else 2
            learning.ask("image.rate", RateParams(experiment_id=name, image=image.sha256, stars=stars), dict)
    answer = workspace.run("recommend", name, "--json").json
    assert answer["value"] == 7
    report = workspace.run("experiment", "report", name, "-o", "report.html")
    assert report.code == 0
    assert all(f"seed {seed}" in (workspace.folder / "report.html").read_text(encoding="utf-8") for seed in SEEDS)

    fill(folder, (*CFG, 20))
    again = workspace.run("experiment", "adopt", str(folder), "--json").json
    assert (again["experiment_id"], again["adopted"], again["known"]) == (
        name,
        len(SEEDS) * 2,
        len(before) - len(list(broken())),
    )
    view = view_of(learning, name)
    assert [variant.variant_value for variant in view.variants] == [*CFG, 20]
    assert all(variant.completed == len(SEEDS) * 2 for variant in view.variants)
    assert before.items() <= hashes(folder).items()
    refused = workspace.run("experiment", "extend", name, "--seeds", "9", code=4)
    assert "was not planned by this service" in refused.err


@pytest.mark.fault(item="F189")
def test_an_adoption_goes_on_after_kill_9(workspace: Workspace) -> None:
    """The command dies amid it, and the next one adds the rest, though the runner dies; nothing is there twice."""
    runner, learning = services(workspace, steady=True)
    folder = workspace.folder / "sweep"
    folder.mkdir()
    for number in range(36):
        data = png(text("parameters", infotext(number % 3 + 1, number // 3, "a red fox")), shade=number)
        (folder / f"{number}.png").write_bytes(data)

    def count() -> int:
        try:
            return view_of(learning, name).totals.completed
        except ControlError:
            return 0

    name = workspace.run("experiment", "adopt", folder, "--dry-run", "--json").json["experiment_id"]

    def begun() -> Running:
        before, command = count(), workspace.command("experiment", "adopt", folder)
        wait_until(lambda: count() > before or not command.lives, what="some more pictures are there")
        return command

    begun().kill()
    command = begun()
    runner.kill()
    runner.start()
    assert command.wait() == 0, command.errors()

    view = view_of(learning, name)
    assert view.totals.completed == view.totals.jobs == 36
    assert [(one.variant_value, one.completed, one.status) for one in view.variants] == [
        (value, 12, "completed") for value in (1, 2, 3)
    ]
    assert len({image.sha256 for one in view.variants for image in one.images}) == 36
    assert not list(runner.data.glob("outputs/.adopting/*"))
