"""`variantbus apply`: files are changed whole or not at all, only after a look, and made what they were again."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from bus.contracts.definition import Block, ExperimentDefinition, Variable
from bus.contracts.fields import VariantValue
from bus.contracts.messages import RecommendationUpdated
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.model import Experiment, experiment_view
from tests.support.factories import EXPERIMENT, definition, planned_experiment
from variantbus.cli import apply as command
from variantbus.cli.file_changes import History, read_text
from variantbus.cli.patching import patched
from variantbus.client import records

TEXT = "# mine\r\n[config]\r\ncfg_scale = 7 # good\r\n"


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> dict[str, VariantValue | None]:
    """Fake a learning service that recommends the `value` of the returned map."""
    said: dict[str, VariantValue | None] = {"value": 0}
    view = experiment_view(planned_experiment())

    def ask(*_: Any, **__: Any) -> RecommendationUpdated:
        return RecommendationUpdated(
            experiment_id=EXPERIMENT,
            value=said["value"],
            p_best=0.9,
            sentence="so it is",
            tier="strong",
            objective="stars",
        )

    for module in (command, records):
        monkeypatch.setattr(module, "ask_recommendation", ask)
        monkeypatch.setattr(module, "shown", lambda *_: view)
    monkeypatch.setattr("variantbus.cli.ids.resolved", lambda _kind, _address, typed, _keys: typed)
    return said


def run(folder: Path, *arguments: object) -> Result:
    """Type a command, without a terminal."""
    options = ["--data-dir", str(folder / "data")]
    return CliRunner().invoke(command.apply, [*map(str, arguments), *options])


@pytest.mark.usefixtures("answered")
def test_a_file_is_changed_and_made_what_it_was(tmp_path: Path) -> None:
    """To the byte; through a link its target is changed, and keeps its mode."""
    path, link = tmp_path / "settings.toml", tmp_path / "link.toml"
    path.write_bytes(TEXT.encode())
    path.chmod(0o640)
    link.symlink_to(path)

    done = run(tmp_path, EXPERIMENT, "--to", link, "--yes")

    assert done.exit_code == 0, done.output
    assert "+cfg_scale = 0 # good" in done.output
    assert path.read_bytes().decode() == TEXT.replace("7", "0")
    assert (link.is_symlink(), path.stat().st_mode & 0o777) == (True, 0o640)
    assert run(tmp_path, EXPERIMENT, "--to", link, "--yes").exit_code == 0  # it has it already: no second record
    undone = run(tmp_path, "--undo", path, "--yes")
    assert undone.exit_code == 0, undone.output
    assert path.read_bytes().decode() == TEXT
    again = run(tmp_path, "--undo", path, "--yes")
    assert (again.exit_code, "nothing was applied" in again.output) == (2, True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "link.toml", "settings.toml"]
    assert list((tmp_path / "data" / "applied").iterdir()) == []


@pytest.mark.usefixtures("answered")
def test_without_a_terminal_or_yes_nothing_is_written(tmp_path: Path) -> None:
    """The difference is shown all the same."""
    path = tmp_path / "settings.toml"
    path.write_text(TEXT)

    asked = run(tmp_path, EXPERIMENT, "--to", path)

    assert (asked.exit_code, "add --yes" in asked.output, "+cfg_scale = 0" in asked.output) == (
        2,
        True,
        True,
    )
    assert read_text(path) == TEXT


@pytest.mark.usefixtures("answered")
def test_a_file_that_was_edited_since_is_not_undone(tmp_path: Path) -> None:
    """No edit is lost; the sentence says where the old text is."""
    path = tmp_path / "settings.toml"
    path.write_text(TEXT)
    run(tmp_path, EXPERIMENT, "--to", path, "--yes")
    path.write_text("[config]\nsteps = 3\n")

    undone = run(tmp_path, "--undo", path, "--yes")

    assert undone.exit_code == 2
    assert "was edited since; what it was before is in" in undone.output
    assert read_text(path) == "[config]\nsteps = 3\n"


def test_a_file_that_is_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """And no record of the change stays."""
    path = tmp_path / "settings.toml"
    path.write_text("x = 2\n")
    history = History(tmp_path / "applied")

    with pytest.raises(InvalidInputError, match="was changed meanwhile"):
        history.write(path, "x = 1\n", "x = 3\n", EXPERIMENT)

    assert read_text(path) == "x = 2\n"
    assert list((tmp_path / "applied").iterdir()) == []


def test_without_a_recommendation_there_is_nothing_to_apply(
    tmp_path: Path, answered: dict[str, VariantValue | None]
) -> None:
    """Status 4, with what the service says."""
    answered["value"] = None

    refused = run(tmp_path, EXPERIMENT)

    assert (refused.exit_code, "so it is" in refused.output) == (4, True)


@pytest.mark.usefixtures("answered")
def test_without_a_file_the_job_is_printed(tmp_path: Path) -> None:
    """It has the recommended value and the first seed."""
    printed = run(tmp_path, EXPERIMENT)

    assert printed.exit_code == 0
    assert printed.stdout.startswith("# so it is\n")
    assert "cfg_scale = 0\n" in printed.stdout
    assert "seed = 100\n" in printed.stdout


@pytest.mark.usefixtures("answered")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "give an ID, or --undo"),
        ([EXPERIMENT, "--undo", "x.toml"], "give an ID, or --undo"),
        ([EXPERIMENT, "--to", "nowhere.toml"], "nowhere.toml: cannot be read"),
        ([EXPERIMENT, "--to", "settings.toml", "--key", "steps=a"], "--key: 'steps=a'; write cfg_scale=PLACE"),
        ([EXPERIMENT, "--to", "settings.toml", "--key", "a..b"], "--key: 'a..b'"),
        ([EXPERIMENT, "--to", "settings.toml", "--key", "a.b"], "settings.toml: a: no table of the file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str
) -> None:
    """In one sentence, with status 2."""
    monkeypatch.chdir(tmp_path)
    Path("settings.toml").write_text(TEXT)

    refused = run(tmp_path, *arguments)

    assert (refused.exit_code, text in refused.output) == (2, True), refused.output
    assert read_text(Path("settings.toml")) == TEXT


def test_a_grid_sets_both_of_its_variables() -> None:
    """Each has its place."""
    before = "cfg_scale = 1\n[a]\nsteps = 2\n"

    after = patched(before, ".toml", {"cfg_scale": 6.5, "steps": 0}, {"steps": "a.steps"})

    assert after == "cfg_scale = 6.5\n[a]\nsteps = 0\n"


def test_a_part_of_a_prompt_is_written_as_the_whole_prompt(
    answered: dict[str, VariantValue | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preset as what it sets. Of several prompts, none is the one to write."""
    preset = Variable(name="preset", values=["fast"], settings={"fast": {"steps": 4}})
    knobs = (Variable(name="style", values=["oil"], fills=True), preset)
    plan = replace(definition(config={"prompt": "an {style} cat"}), variable=None, variables=knobs)
    blocks = tuple(Block(config={"prompt": f"{{style}} {thing}"}) for thing in ("cat", "dog"))
    many = replace(plan, config={}, blocks=blocks)
    path = tmp_path / "job.toml"
    answered["value"] = {"style": "oil", "preset": "fast"}

    def apply(of: ExperimentDefinition) -> tuple[Result, str]:
        path.write_text('[config]\nprompt = "x"\n', encoding="utf-8")
        view = experiment_view(Experiment(EXPERIMENT, of, [], created_at=1.0))
        monkeypatch.setattr(command, "shown", lambda *_: view)
        return run(tmp_path, EXPERIMENT, "--to", path, "--yes"), path.read_text(encoding="utf-8")

    assert apply(plan)[1] == '[config]\nprompt = "an oil cat"\nsteps = 4\n'
    done, text = apply(many)
    assert text == '[config]\nprompt = "x"\nsteps = 4\n'
    assert "prompt: differs between blocks, and is not written" in done.stderr
    answered["value"] = "oil"
    refused, text = apply(replace(many, variables=knobs[:1]))
    assert "prompt: differs between blocks, so there is nothing to write into a file" in refused.stderr
    assert text == '[config]\nprompt = "x"\n'
