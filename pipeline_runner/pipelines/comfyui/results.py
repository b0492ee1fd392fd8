"""From the end of a prompt to the result of a job: decisions only."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bus.contracts.fields import Config
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import SEED
from pipeline_runner.pipelines.comfyui.graph import Graph, described, input_of
from pipeline_runner.pipelines.comfyui.history import Ended, ImageFile, in_order
from pipeline_runner.pipelines.comfyui.workflow import Workflow, effective_values
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result

SAVED: Final = "output"  # the type of a picture that is no preview
ADVICE: Final = "lower the size or the batch, or end what else uses the GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """The result of a successful job, without its pictures, which are still at the server."""

    images: list[ImageFile]
    effective: Config
    warnings: tuple[str, ...]


def gave_nothing_again(ended: Ended) -> bool:
    """Return whether an older server had all in its cache, and therefore named no pictures."""
    return bool(ended.state == "success" and not ended.images and ended.graph and ended.cached.issuperset(ended.graph))


def judge(
    ended: Ended, job: NormalizedJobRecord, workflow: Workflow, graph: Graph, node_errors: str
) -> JobResult | Harvest:
    """Return the result of a failed job, or the pictures to fetch; `graph` is what was sent."""
    if ended.state == "interrupted":
        return failed_result("interrupted", "somebody interrupted the prompt at the server")
    if ended.error:
        more = f"; it was tried again after all models were unloaded; {ADVICE}" if ended.error.kind == "oom" else ""
        return failed_result(ended.error.kind, ended.error.message + more)
    chosen = in_order(ended.images, workflow.graph)
    if workflow.output_nodes:
        chosen = tuple(image for image in chosen if image.node in workflow.output_nodes)
    images = _pictures(chosen, workflow, node_errors)
    if not images:
        return failed_result("invalid_request", _why_nothing(chosen, workflow, node_errors))
    drift = _drift(ended.graph, job, workflow, graph)
    variable = job.learning_context.variable_under_test if job.learning_context else None
    if variable in drift:
        return failed_result("substituted", drift[variable])
    warnings = [*drift.values(), *_left_out(chosen, workflow.graph)]
    if not workflow.output_nodes and images[0].type != SAVED:
        text = f"no node saves pictures, so the previews of {_nodes_of(images, workflow.graph)} were taken"
        warnings.append(f"{text}; add a Save Image node, or name the preview in config.output_nodes")
    if node_errors:
        warnings.append(f"some outputs were left out: {node_errors}")
    if all(image.node in ended.cached for image in images):
        warnings.append("the server had this very prompt in its cache")
    if SEED in job.config and SEED not in workflow.inputs:
        warnings.append("config.seed: the workflow has no input for it, so all jobs of a variant are the same")
    return Harvest(
        images=images,
        effective=effective_values(workflow, ended.graph or graph),
        warnings=tuple(warnings),
    )


def _pictures(chosen: Iterable[ImageFile], workflow: Workflow, node_errors: str) -> list[ImageFile]:
    """Return the pictures that count: those of the named nodes, else all that are saved, else the previews.

    Previews do not stand in for a picture that the server left out because of an error.
    """
    pictures = [image for image in chosen if image.is_picture]
    if workflow.output_nodes:
        return pictures
    saved = [image for image in pictures if image.type == SAVED]
    return saved if saved or node_errors else pictures


def _left_out(chosen: Iterable[ImageFile], graph: Graph) -> list[str]:
    """Return a warning where a node gave videos among its pictures, or instead of them."""
    others = [file for file in chosen if not file.is_picture]
    if not others:
        return []
    more = f" and {len(others) - 1} more files" if len(others) > 1 else ""
    return [f"{others[0].filename}{more} of {_nodes_of(others, graph)} is no picture and was left at the server"]


def _nodes_of(files: Iterable[ImageFile], graph: Graph) -> str:
    return " and ".join(dict.fromkeys(described(graph, file.node) for file in files))


def _why_nothing(chosen: tuple[ImageFile, ...], workflow: Workflow, node_errors: str) -> str:
    if node_errors:
        return f"no picture was saved: {node_errors}"
    if left_out := _left_out(chosen, workflow.graph):
        return f"{left_out[0]}, and no picture came; add a Save Image node"
    if workflow.output_nodes:
        return f"no picture came from node {' or '.join(workflow.output_nodes)} (config.output_nodes)"
    return "the workflow gave no picture; add a Save Image node"


def _drift(executed: Graph, job: NormalizedJobRecord, workflow: Workflow, sent: Graph) -> dict[str, str]:
    """Compare what the server executed with what was sent, by variable; no nodes are told by very old servers."""
    found = {}
    for name, targets in workflow.inputs.items():
        for target in targets if name in job.config and executed else ():
            asked, used = input_of(sent, target), input_of(executed, target)
            if asked != used:
                found[name] = f"config.{name}: {asked!r} was asked for at {target}, but the server used {used!r}"
    return found
