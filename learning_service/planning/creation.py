"""Creates experiments: a preview of the plan, and the plan itself."""

import logging
import time
from typing import Final

from bus.contracts.experiments import CreateParams, ExperimentView, PlanParams, PlanReply
from bus.contracts.messages import ExperimentDefinition, VariantValue
from bus.contracts.topics import EXPERIMENT_STATUS, VARIANT_STATUS
from bus.eventlog.log import Log
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.transport.loop import Loop
from bus.transport.server import MethodServer
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments.model import (
    Experiment,
    SearchState,
    experiment_status,
    experiment_view,
    variant_status,
)
from learning_service.experiments.plan import PlannedJob, check_plan, is_slow, job_id, job_request, plan_jobs
from learning_service.experiments.selection import Selection
from learning_service.experiments.variants import Variant
from learning_service.planning.adaptive import AdaptiveSearch
from learning_service.storage.store import LearningStore, RunnerPipelines, job_kind

RECENT: Final = 20  # experiments whose jobs say how long one takes
PREVIEW: Final = "preview"
logger = logging.getLogger(__name__)


class Creation:
    """Checks definitions against what runners offer, and plans experiments."""

    def __init__(
        self,
        log: Log,
        loop: Loop,
        store: LearningStore,
        dispatcher: Dispatcher,
        search: AdaptiveSearch,
        selection: Selection,
    ) -> None:
        """Wire the parts."""
        self._log, self._loop, self._store, self._dispatcher = log, loop, store, dispatcher
        self._search, self._selection = search, selection

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.create", CreateParams, self._create)
        methods.add("experiment.plan", PlanParams, self._preview)  # the runner looks for the files of a plan

    def _preview(self, params: PlanParams) -> PlanReply:
        values, search, _ = self._checked(PREVIEW, params.definition)
        definition = params.definition
        most = definition.budget if search and definition.budget else len(values) * definition.jobs_per_variant
        seconds = self._seconds_a_job(definition)
        return PlanReply(
            values=values,
            jobs=len(values) * definition.jobs_per_variant,
            most_jobs=most,
            seconds=None if seconds is None else seconds * most,
        )

    def _create(self, params: CreateParams) -> ExperimentView:
        definition, shard = params.definition, self._selection.shard
        if not shard.owns(params.experiment_id):
            text = f"experiment_id: {params.experiment_id} does not belong to shard {shard}; choose another id"
            raise ControlError("invalid_request", text, {"shard": str(shard)})
        self._store.trim()
        known = self._store.find(params.experiment_id)
        if known:
            if definition not in (known.definition, self._store.created_as(params.experiment_id)):
                raise ControlError("conflict", f"experiment {params.experiment_id} exists with another definition")
            return experiment_view(known)
        values, search, pipelines = self._checked(params.experiment_id, definition)
        planned_jobs = plan_jobs(definition, len(values), slow=is_slow(definition, pipelines))
        jobs = [(job_id(params.experiment_id, job), job) for job in planned_jobs]
        ids: dict[int, list[str]] = {}
        for name, job in jobs:
            ids.setdefault(job.variant_index, []).append(name)
        created = time.time()
        planned = [
            Variant(index=index, value=value, jobs=dict.fromkeys(ids[index], "planned"), revision=1, updated_at=created)
            for index, value in enumerate(values)
        ]
        experiment = Experiment(params.experiment_id, definition, planned, created_at=created)
        experiment.revision, experiment.search = 1, search
        with self._log.transaction(sync=True) as tx:
            self._store.insert(tx, experiment, jobs)
            tx.append(topics.build(EXPERIMENT_STATUS, params.experiment_id), experiment_status(experiment))
            for variant in planned:
                topic = topics.build(VARIANT_STATUS, params.experiment_id, variant.index)
                tx.append(topic, variant_status(experiment, variant))
        logger.info("experiment %s: %d variants, %d jobs", params.experiment_id, len(values), len(jobs))
        self._loop.call(self._dispatcher.pump)
        return experiment_view(self._store.get(params.experiment_id))

    def _checked(
        self, experiment_id: str, definition: ExperimentDefinition
    ) -> tuple[list[VariantValue], SearchState | None, RunnerPipelines]:
        """Check a definition; return the values that are planned first, and what the runners offer."""
        pipelines = self._dispatcher.pipelines()
        if not pipelines:
            addresses = ", ".join(self._selection.runners)
            raise ControlError("unavailable", f"no runner has answered yet at {addresses}; start one and try again")
        values = check_plan(definition, pipelines, self._selection.max_variants)
        # the jobs of a variant differ only in their seeds
        firsts = (job_request(experiment_id, definition, value, PlannedJob(i, 0)) for i, value in enumerate(values))
        self._dispatcher.check(job_kind(definition.pipeline, definition.stage), firsts)
        search = None
        if definition.mode == "adaptive":
            values, search = self._search.begin(definition, pipelines)
        return values, search, pipelines

    def _seconds_a_job(self, definition: ExperimentDefinition) -> float | None:
        """Return the mean seconds of a job of the pipeline in the newest experiments; None if there was none."""
        page, _ = self._store.page(None, RECENT)
        alike = [one for one in page if one.definition.pipeline == definition.pipeline]
        variants = [variant for one in alike for variant in one.variants.values()]
        completed = sum(variant.completed for variant in variants)
        return sum(variant.duration_sum for variant in variants) / completed if completed else None
