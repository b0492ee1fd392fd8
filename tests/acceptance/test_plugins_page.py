"""What docs/plugins.md shows is in the example, and the example runs in a runner in which it is installed."""

import re
import tomllib
from typing import Final

import pytest

from tests.support.experiment_files import services
from tests.support.in_process import run_in_process
from tests.support.workspace import ROOT, Workspace

EXAMPLE: Final = ROOT / "examples" / "pipeline_plugin"
PAGE: Final = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8").split("## A completion hook")[0]


@pytest.fixture
def installed(workspace: Workspace) -> Workspace:
    """Return a workspace in whose processes the package of the example is installed, as its pyproject.toml says."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = workspace.folder / "site" / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    workspace.environment["PYTHONPATH"] = f"{info.parent}:{EXAMPLE}"
    return workspace


def test_the_pipeline_of_the_example_runs_an_experiment(installed: Workspace) -> None:
    """Its variable is shown, wrong values are refused before anything runs, and its metric finds the best value."""
    services(installed)
    assert "darts" in run_in_process(installed, "pipelines", "pi").out
    text = (EXAMPLE / "pi.toml").read_text(encoding="utf-8")
    few = installed.write("few.toml", text.replace("values = [100,", "values = [1,"))
    assert "allowed: 100 to 10000000" in run_in_process(installed, "experiment", "run", few, code=2).err
    other = installed.write("other.toml", text.replace('objective = "error"', 'objective = "eror"'))
    assert "error" in run_in_process(installed, "experiment", "run", other, code=2).err

    found = run_in_process(installed, "experiment", "run", installed.write("pi.toml", text)).out.strip()
    run_in_process(installed, "watch", found)

    assert run_in_process(installed, "recommend", found, "--json").json["value"] in {10_000, 100_000}
    shown = run_in_process(installed, "experiment", "show", found).out
    result = run_in_process(installed, "job", "output", re.findall(r"\(([0-9a-f]{8})\)", shown)[-1]).out
    assert float(result) == pytest.approx(3.14, abs=0.1)


@pytest.mark.parametrize("block", re.findall(r"```(?:python|toml)\n(.*?)```", PAGE, re.DOTALL))
def test_the_page_shows_the_example(block: str) -> None:
    """Each line of each block stands in one of its files, in this order."""
    texts = [path.read_text(encoding="utf-8") for path in EXAMPLE.iterdir() if path.is_file()]
    pattern = r"\n(?:.*\n)*?".join(re.escape(line) for line in block.rstrip().split("\n"))
    assert any(block.rstrip() in text or re.search(pattern, text) for text in texts)
