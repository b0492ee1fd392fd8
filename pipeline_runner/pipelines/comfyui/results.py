"""From the end of a prompt to the result of a job: decisions only."""

from dataclasses import dataclass
from typing import Final

from bus.contracts.messages import Config, JobResult
from bus.contracts.pipeline_specs import SEED
from pipeline_runner.pipelines.comfyui.history import Ended, ImageFile, chosen_images
from pipeline_runner.pipelines.comfyui.workflow import Graph, Workflow, effective_values, input_of
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result

ADVICE: Final = "lower the size or the batch, or end what else uses the GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The result of a successful job, without its pictures, which are still at the server."""

    images: list[ImageFile]
    effective: Config
    warnings: tuple[str, ...]
    seconds: float | None


def judge(
    ended: Ended, job: NormalizedJobRecord, workflow: Workflow, graph: Graph, node_errors: str
) -> JobResult | Harvest:
    """Return the result of a failed job, or the pictures to fetch; `graph` is what was sent."""
    if ended.state == "interrupted":
        return failed_result("interrupted", "somebody interrupted the prompt at the server")
    if ended.error:
        more = f"; it was tried again after all models were unloaded; {ADVICE}" if ended.error.kind == "oom" else ""
        return failed_result(ended.error.kind, ended.error.message + more)
    images = chosen_images(ended, workflow.output_nodes)
    if not images:
        return failed_result("invalid_request", _why_nothing(ended, workflow, node_errors))
    drift = _drift(ended.graph, job, workflow, graph)
    variable = job.learning_context.variable_under_test if job.learning_context else None
    if variable in drift:
        return failed_result("substituted", drift[variable])
    cached = all(image.node in ended.cached for image in images)
    warnings = list(drift.values())
    if node_errors:
        warnings.append(f"some outputs were left out: {node_errors}")
    if cached:
        warnings.append("the server had this very prompt in its cache, so its time says nothing")
    if SEED in job.config and SEED not in workflow.inputs:
        warnings.append("config.seed: the workflow has no input for it, so all jobs of a variant are the same")
    return Harvest(
        images=images,
        effective=effective_values(workflow, ended.graph or graph),
        warnings=tuple(warnings),
        seconds=None if cached else ended.seconds,
    )


def _why_nothing(ended: Ended, workflow: Workflow, node_errors: str) -> str:
    if node_errors:
        return f"no picture was saved: {node_errors}"
    if ended.graph and ended.cached.issuperset(ended.graph):
        return (
            "the server has executed this very prompt before, and gave no picture again; map the seed in config.inputs"
        )
    if workflow.output_nodes:
        return f"no picture came from node {' or '.join(workflow.output_nodes)} (config.output_nodes)"
    return "the workflow saved no picture; add a Save Image node, or name a preview node in config.output_nodes"


def _drift(executed: Graph, job: NormalizedJobRecord, workflow: Workflow, sent: Graph) -> dict[str, str]:
    """Compare what the server executed with what was sent, by variable; no nodes are told by very old servers."""
    found = {}
    for name, targets in workflow.inputs.items():
        for target in targets if name in job.config and executed else ():
            asked, used = input_of(sent, target), input_of(executed, target)
            if asked != used:
                found[name] = f"config.{name}: {asked!r} was asked for at {target}, but the server used {used!r}"
    return found
