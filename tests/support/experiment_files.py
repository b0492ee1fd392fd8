"""Experiment files for tests: quick ones, and slow ones that leave time to kill somebody."""

from typing import Final

from tests.support.workspace import ServiceProcess, Workspace, steady_ports

SEED: Final = 7  # of the first job of each variant; the next one has 8
GATE: Final = "gate"


def pictures(*, values: int = 4, jobs: int = 2, steps: int = 4, size: int = 32) -> str:
    """Write an experiment on the embedded pipeline, which draws pictures."""
    return f"""
name = "Pictures"
pipeline = "embedded"
jobs_per_variant = {jobs}
seed = {SEED}
[variable]
name = "cfg_scale"
values = {[1 + number / 2 for number in range(values)]}
[config]
prompt = "a blue star"
steps = {steps}
width = {size}
height = {size}
"""


def program(*, values: int = 4, jobs: int = 2, script: str = "true") -> str:
    """Write an experiment on the command pipeline; a shell runs the script and then writes a file.

    In the script, $1 is the value, $2 the seed.
    """
    return f"""
name = "Program"
pipeline = "command"
stage = "run"
jobs_per_variant = {jobs}
seed = {SEED}
[variable]
name = "level"
values = {list(range(values))}
[config]
command = ["sh", "-c", '''{script}; echo "$1 $2" > "$3/result.txt"''', "sh", "{{level}}", "{{seed}}", "{{output_dir}}"]
"""


def gate(workspace: Workspace, free: int) -> str:
    """Write a script whose jobs wait for `open_gate`, but for the first `free` ones of each variant.

    So an experiment stands still in mid-run, however fast or slow the machine is.
    """
    return f"test $2 -lt {SEED + free} || while [ ! -e {workspace.folder / GATE} ]; do sleep 0.02; done"


def open_gate(workspace: Workspace) -> None:
    """Let the jobs go on that wait."""
    workspace.write(GATE, "")


def submit(workspace: Workspace, text: str, name: str = "experiment.toml") -> str:
    """Plan an experiment and return its id."""
    return workspace.run("experiment", "run", workspace.write(name, text)).out.strip()


def services(workspace: Workspace, *, workers: int = 2, steady: bool = False) -> tuple[ServiceProcess, ServiceProcess]:
    """Start a runner and a learning service; `steady` if clients will look for them while they are away."""
    runner = workspace.runner("--workers", str(workers), ports=steady_ports() if steady else (0, 0))
    return runner, workspace.learning(runner, ports=steady_ports() if steady else (0, 0))
