"""The `comfyui` pipeline: a workflow on a ComfyUI server, some of whose inputs are variables; see docs/comfyui.md."""

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from msgspec import UNSET
from msgspec.structs import replace as replaced

from bus.contracts.fields import Config, Scalar
from bus.contracts.messages import JobResult
from bus.contracts.pipeline_specs import StageSpec
from bus.contracts.servers import ServerView
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines import Cancelled, Pipeline, Progress, ServerAddress, Setup
from pipeline_runner.pipelines.comfyui.editor import converted
from pipeline_runner.pipelines.comfyui.fetching import Fetching, GoneFiles
from pipeline_runner.pipelines.comfyui.graph import EditorFormatError, Target
from pipeline_runner.pipelines.comfyui.history import Ended
from pipeline_runner.pipelines.comfyui.nodes import Nodes, check_against
from pipeline_runner.pipelines.comfyui.prompt import PromptRun, Stopped
from pipeline_runner.pipelines.comfyui.results import Barren, Harvest, gave_nothing_again, judge
from pipeline_runner.pipelines.comfyui.server import ComfyServer
from pipeline_runner.pipelines.comfyui.times import NodeTimes, ends_of, fitted, signatures_of, whole_time
from pipeline_runner.pipelines.comfyui.workflow import STAGE, Workflow, patched, read_workflow, values_of
from pipeline_runner.pipelines.http_client import ServerFault
from pipeline_runner.pipelines.input_files import FileVersion, find_file, read_file
from pipeline_runner.queue.jobs import NormalizedJobRecord, failed_result
from pipeline_runner.queue.retries import NOT_RUN

DEFAULT_URL: Final = "http://127.0.0.1:8188"
HINT: Final = "start ComfyUI, or the runner with VARIANTBUS_COMFYUI_URL set"
REFRESH_SECONDS: Final = 5.0
NODES_SECONDS: Final = 300.0  # what the nodes take is tens of MB, and the server makes it anew each time
_WORKFLOW: Final = "config.workflow"


class ComfyuiPipeline(Pipeline):
    """Submits prompts to one server, one at a time: more would only wait in its queue, behind each other."""

    concurrency = 1
    refresh_seconds = REFRESH_SECONDS

    def __init__(self, setup: Setup) -> None:
        """Keep the output folder and the address of the server; nothing is sent yet."""
        self._outputs, self._most = setup.outputs, setup.output_bytes
        # when a workflow gave nothing, and why; see `_barren_since`
        self._barren: WeakKeyDictionary[Workflow, tuple[float, str]] = WeakKeyDictionary()
        self.server = ComfyServer(setup.servers.get("comfyui", ServerAddress(url=DEFAULT_URL)))
        self._seen: ServerView | None = None
        self._nodes: Nodes | None = None  # until the server has answered for the first time
        self._read_at = 0.0
        self._times = NodeTimes()
        self._away = f"ComfyUI has not answered yet; {HINT}"

    def stages(self) -> Mapping[str, StageSpec]:
        """Return the one stage, `workflow`; it is unavailable until the server has described its nodes."""
        return {"workflow": STAGE if self._nodes else replaced(STAGE, unavailable=self._away)}

    def check(self, _stage: str, config: Config) -> None:
        """Refuse a workflow that cannot be run, an input that is not there, and a value that a node does not take."""
        workflow = _load(config, self._nodes)
        if self._nodes:
            check_against(self._nodes, workflow, config)

    def refresh(self) -> str:
        """Check whether the server answers, with its smallest request.

        What its nodes take is only read at first, after it was away (it may have other nodes now), and every few
        minutes (there may be other models).
        """
        try:
            self.server.ping()
            if self._away or time.monotonic() - self._read_at >= NODES_SECONDS:
                self._nodes = self.server.nodes()
                self._read_at = time.monotonic()
            self._seen = self.server.seen()
            self._away = ""
        except ServerFault as fault:
            self._away = f"{fault.message}; {HINT}"
        return self._away

    def seen(self) -> ServerView | None:
        """Return its address, its version, and the memory of its cards where it tells of it."""
        return self._seen

    def run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        """Run one prompt to its end and fetch its pictures."""
        progress(0.0)
        try:
            return self._run(job, progress, cancelled)
        except InvalidInputError as error:
            return failed_result("invalid_request", str(error))
        except Stopped as stopped:
            return stopped.result
        except ServerFault as fault:
            # no answer in time is no fault of the job, whose own time limit is another one
            return failed_result("unreachable" if fault.kind == "timeout" else fault.kind, fault.message)

    def _run(self, job: NormalizedJobRecord, progress: Progress, cancelled: Cancelled) -> JobResult:
        workflow = _load(job.config, self._nodes)
        if text := self._barren_since(workflow, job.queued_at):
            return failed_result(NOT_RUN, f"not run, as nothing came of the job before it: {text}")
        graph = patched(workflow.graph, {**values_of(workflow, job.config), **self._upload(workflow)})
        start = time.monotonic()
        run = PromptRun(self.server, job, workflow, graph, progress, cancelled)
        ended = run.run()
        if gave_nothing_again(ended):
            ended = run.again(ends_of(graph))
        result = self._finish(job, workflow, run, ended, start)
        if isinstance(result, GoneFiles):
            gone = result
            result = self._finish(job, workflow, run, run.again(gone.nodes), start, made_anew=gone.text)
        if isinstance(result, GoneFiles):
            return failed_result("server_error", f"{result.text}, though it has just been saved")
        return result

    def _finish(
        self,
        job: NormalizedJobRecord,
        workflow: Workflow,
        run: PromptRun,
        ended: Ended,
        start: float,
        *,
        made_anew: str = "",
    ) -> JobResult | GoneFiles:
        """Return what came of a prompt; `made_anew` says why it is not the first one."""
        verdict = judge(ended, job, workflow, run.graph, run.node_errors)
        if isinstance(verdict, Barren):
            self._barren[workflow] = time.time(), verdict.text
            return failed_result("invalid_request", verdict.text)
        if not isinstance(verdict, Harvest):
            return verdict
        # by the server's wall clock, which may be set meanwhile; a prompt of an earlier attempt may have begun before
        if ended.seconds is not None and job.attempt == 1:
            ended = replace(ended, seconds=min(ended.seconds, time.monotonic() - start))
        seen = fitted(run.seen, ended.seconds)
        seconds, untimed = whole_time(ended, run.graph, workflow.targets, seen, self._times)
        self._times.learn(signatures_of(run.graph), seen or {})
        more = [text for text in (untimed, made_anew and f"{made_anew}, so it was made anew") if text]
        fetching = Fetching(self.server, self._outputs, job, self._most, run.cancelled)
        result = fetching.fetch(replace(verdict, warnings=(*verdict.warnings, *more)))
        if isinstance(result, JobResult) and result.success:
            result = replaced(result, seconds=seconds, untimed=True if untimed else UNSET)
        return result

    def _barren_since(self, workflow: Workflow, queued_at: float) -> str:
        """Return why a workflow has given nothing since a job was queued, "" if it may give something.

        All jobs of an experiment would end so, each after it has done its work; one that a person queues anew is run.
        """
        at, text = self._barren.get(workflow, (0.0, ""))
        return text if queued_at <= at else ""

    def _upload(self, workflow: Workflow) -> dict[Target, Scalar]:
        """Upload the picture files; return the values for the nodes that load them."""
        return {
            target: self.server.upload(read_file(f"config.images.{target}", path), path.suffix.lower())
            for target, path in workflow.images.items()
        }


def _load(config: Config, nodes: Nodes | None) -> Workflow:
    """Read the files that a configuration names; pictures only have to be there.

    A workflow for the editor is converted by what the nodes take, if they are known.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    version = find_file(_WORKFLOW, Path(str(config["workflow"])))
    ours = {key: config[key] for key in STAGE.config if key in config}
    packed = msgspec.msgpack.encode(ours)
    try:
        workflow = _workflow(version, packed, None)
    except EditorFormatError:
        if nodes is None:
            raise
        workflow = _workflow(version, packed, nodes)
    for target, picture in workflow.images.items():
        find_file(f"config.images.{target}", picture)
    return workflow


@lru_cache(maxsize=4)  # all jobs of an experiment have the same one, and each is checked
def _workflow(version: FileVersion, config: bytes, nodes: Nodes | None) -> Workflow:
    convert = None if nodes is None else partial(converted, nodes=nodes)
    return read_workflow(read_file(_WORKFLOW, version.path), msgspec.msgpack.decode(config), convert)
