"""Creates experiments: a preview of the plan, and the plan itself."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import CreateParams, ExperimentView, PlanParams, PlanReply
from bus.contracts.fields import VariantValue
from bus.contracts.messages import VariantStatus
from bus.contracts.topics import EXPERIMENT_STATUS, VARIANT_STATUS
from bus.eventlog.log import Log
from bus.eventlog.row_checksums import Row
from bus.protocol import topics
from bus.protocol.control import ControlError
from bus.transport.server import MethodServer
from bus.transport.steps import OneByOne, Steps
from learning_service.dispatch.dispatcher import Dispatcher
from learning_service.experiments.model import (
    Experiment,
    SearchState,
    experiment_status,
    experiment_view,
    packed_status,
)
from learning_service.experiments.phases import JobPhase, Phases
from learning_service.experiments.plan import PlannedJob, check_plan, first_jobs, is_slow, job_id, runs_alone
from learning_service.experiments.selection import Selection
from learning_service.experiments.variants import Variant
from learning_service.planning.adaptive import AdaptiveSearch
from learning_service.planning.layout import Layout
from learning_service.storage.job_rows import job_kind
from learning_service.storage.store import LearningStore, RunnerPipelines
from learning_service.storage.variant_rows import variant_rows

PREVIEW: Final = "preview"
logger = logging.getLogger(__name__)


class Creation:
    """Checks definitions against what runners offer, and plans experiments."""

    def __init__(
        self,
        log: Log,
        store: LearningStore,
        dispatcher: Dispatcher,
        layout: Layout,
        search: AdaptiveSearch,
        selection: Selection,
    ) -> None:
        """Wire the parts."""
        self._log, self._store, self._dispatcher, self._layout = log, store, dispatcher, layout
        self._search, self._selection = search, selection
        self._turns = OneByOne()

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("experiment.create", CreateParams, self._create)
        methods.add_steps("experiment.plan", PlanParams, self._preview)  # the runner looks for the files of a plan

    def _preview(self, params: PlanParams) -> Steps[PlanReply]:
        values, search, _ = yield from self._checked(PREVIEW, params.definition)
        definition = params.definition
        jobs = len(values) * definition.repeats
        most = definition.budget if search and definition.budget else jobs
        seconds = self._store.catalogue.seconds_a_job(definition.pipeline)
        return PlanReply(
            values=values,
            jobs=jobs,
            most_jobs=most,
            seconds=None if seconds is None else seconds * most,
            exclusive=runs_alone(definition),
        )

    def _create(self, params: CreateParams) -> Steps[ExperimentView]:
        """Create an experiment; one after another, so that a request that is repeated meanwhile finds it."""
        return (yield from self._turns.run(self._create_alone(params.experiment_id, params.definition)))

    def _create_alone(self, experiment_id: str, definition: ExperimentDefinition) -> Steps[ExperimentView]:
        shard = self._selection.shard
        if not shard.owns(experiment_id):
            text = f"experiment_id: {experiment_id} does not belong to shard {shard}; choose another id"
            raise ControlError("invalid_request", text, {"shard": str(shard)})
        self._store.trim()
        if self._store.deletions.has(experiment_id):
            raise ControlError("conflict", f"experiment {experiment_id} was deleted; choose another id")
        known = self._store.find(experiment_id)
        if known:
            if definition not in (known.definition, self._store.created_as(experiment_id)):
                raise ControlError("conflict", f"experiment {experiment_id} exists with another definition")
            return experiment_view(known)
        values, search, pipelines = yield from self._checked(experiment_id, definition)
        created = time.time()
        planned = yield from planned_variants(experiment_id, values, definition.repeats, created)
        experiment = Experiment(experiment_id, definition, planned, created_at=created)
        experiment.revision, experiment.search = 1, search
        rows, statuses = yield from written_variants(experiment)
        if self._store.find(experiment_id) or experiment_id in self._store.being_made:
            raise ControlError("conflict", f"experiment {experiment_id} is being imported; choose another id")
        with self._log.transaction(sync=True) as tx:
            self._store.insert_row(tx, experiment)
            self._store.write_variants(tx, rows)
            self._layout.begin(tx, experiment_id, by_value=is_slow(definition, pipelines))
            tx.append(topics.build(EXPERIMENT_STATUS, experiment_id), experiment_status(experiment))
            for topic, status in statuses:
                tx.append(topic, status)
        logger.info("experiment %s: %d variants, %d jobs", experiment_id, len(values), experiment.totals.jobs)
        self._store.keep(experiment)
        yield None
        return experiment_view(self._store.get(experiment_id))

    def _checked(
        self, experiment_id: str, definition: ExperimentDefinition
    ) -> Steps[tuple[list[VariantValue], SearchState | None, RunnerPipelines]]:
        """Check a definition; return the values that are planned first, and what the runners offer."""
        pipelines = self._dispatcher.offered(definition.pipeline)
        values = check_plan(definition, pipelines, self._selection.max_variants)
        yield None
        firsts = first_jobs(experiment_id, definition, dict(enumerate(values)))
        yield from self._dispatcher.check(job_kind(definition.pipeline, definition.stage), firsts)
        search = None
        if definition.mode == "adaptive":
            values, search = yield from self._search.begin(definition, pipelines)
        return values, search, pipelines


def planned_variants(
    experiment_id: str, values: Sequence[VariantValue], repeats: int, created: float
) -> Steps[list[Variant]]:
    """Return the variants of a new experiment, each with the same number of jobs."""
    planned = []
    for index, value in enumerate(values):
        names = (job_id(experiment_id, PlannedJob(index, repeat)) for repeat in range(repeats))
        jobs: dict[str, JobPhase] = dict.fromkeys(names, "planned")
        planned.append(Variant(index=index, value=value, jobs=Phases(jobs), revision=1, updated_at=created))
        yield None
    return planned


def written_variants(experiment: Experiment) -> Steps[tuple[list[Row], list[tuple[str, VariantStatus]]]]:
    """Return the variants of a new experiment as they are stored, and as they are published on their topics."""
    name = experiment.experiment_id
    rows: list[Row] = []
    statuses = []
    for index, variant in experiment.variants.items():
        rows += variant_rows({(name, index): variant})
        statuses.append((topics.build(VARIANT_STATUS, name, index), packed_status(experiment, variant)))
        yield None
    return rows, statuses
