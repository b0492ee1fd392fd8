"""From the end of a prompt to the result of a job: decisions only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import SEED
from pipeline_runner.pipelines.comfyui.graph import Graph, described, input_of
from pipeline_runner.pipelines.comfyui.history import SAVED, Ended, Output, OutputFile, in_order
from pipeline_runner.pipelines.comfyui.workflow import Workflow, effective_values
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result

ADVICE: Final = "lower the size or the batch, or end what else uses the GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The result of a successful job, without its files, which are still at the server."""

    outputs: list[Output]
    effective: Config
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Barren:
    """Nothing came of a prompt that ended well, and nothing ever will of its workflow."""

    text: str


def gave_nothing_again(ended: Ended) -> bool:
    """Return whether an older server had all in its cache, and therefore named no files."""
    return bool(ended.state == "success" and not ended.outputs and ended.graph and ended.cached.issuperset(ended.graph))


def judge(
    ended: Ended, job: NormalizedJobRecord, workflow: Workflow, graph: Graph, node_errors: str
) -> JobResult | Harvest | Barren:
    """Return the result of a failed job, or what to fetch; `graph` is what was sent."""
    if ended.state == "interrupted":
        return failed_result("interrupted", "somebody interrupted the prompt at the server")
    if ended.error:
        more = f"; it was tried again after all models were unloaded; {ADVICE}" if ended.error.kind == "oom" else ""
        return failed_result(ended.error.kind, ended.error.message + more)
    outputs = _counting(in_order(ended.outputs, workflow.graph), workflow, node_errors)
    if not outputs and node_errors:  # another value may be one that the server takes
        return failed_result("invalid_request", f"nothing was saved: {node_errors}")
    if not outputs:
        return Barren(_why_nothing(workflow))
    drift = _drift(ended.graph, job, workflow, graph)
    decided = job.learning_context.decided if job.learning_context else ()
    if spoiled := next((drift[name] for name in decided if name in drift), ""):
        return failed_result("substituted", spoiled)
    warnings = [*drift.values()]
    if not workflow.output_nodes and not _is_saved(outputs[0]):
        text = f"no node saves anything, so the previews of {_nodes_of(outputs, workflow.graph)} were taken"
        warnings.append(
            f"{text}; add a node that saves, such as Save Image, or name the preview in config.output_nodes"
        )
    if node_errors:
        warnings.append(f"some outputs were left out: {node_errors}")
    if all(one.node in ended.cached for one in outputs):
        warnings.append("the server had this very prompt in its cache")
    if SEED in job.config and SEED not in workflow.inputs:
        warnings.append("config.seed: the workflow has no input for it, so all jobs of a variant are the same")
    return Harvest(
        outputs=outputs,
        effective=effective_values(workflow, ended.graph or graph),
        warnings=tuple(warnings),
    )


def _counting(outputs: tuple[Output, ...], workflow: Workflow, node_errors: str) -> list[Output]:
    """Return what counts: all of the named nodes, else what is saved, else the files of previews, else texts.

    Previews do not stand in for what the server left out because of an error.
    """
    if workflow.output_nodes:
        return [one for one in outputs if one.node in workflow.output_nodes]
    saved = [one for one in outputs if _is_saved(one)]
    if saved or node_errors:
        return saved
    return [one for one in outputs if isinstance(one, OutputFile)] or list(outputs)


def _is_saved(output: Output) -> bool:
    return isinstance(output, OutputFile) and output.type == SAVED


def _nodes_of(outputs: Iterable[Output], graph: Graph) -> str:
    return " and ".join(dict.fromkeys(described(graph, one.node) for one in outputs))


def _why_nothing(workflow: Workflow) -> str:
    if workflow.output_nodes:
        return f"nothing came from node {' or '.join(workflow.output_nodes)} (config.output_nodes)"
    return "the workflow gave nothing; add a node that saves, such as Save Image"


def _drift(executed: Graph, job: NormalizedJobRecord, workflow: Workflow, sent: Graph) -> dict[str, str]:
    """Compare what the server executed with what was sent, by variable; no nodes are told by very old servers."""
    found = {}
    for name, targets in workflow.inputs.items():
        for target in targets if name in job.config and executed else ():
            asked, used = input_of(sent, target), input_of(executed, target)
            if asked != used:
                found[name] = f"config.{name}: {asked!r} was asked for at {target}, but the server used {used!r}"
    return found
