"""Experiments of pictures that exist: their values are known first, and their jobs come from a runner.

They are discovered ones: each job that a runner tells of is added to the plan, and nothing is ever sent to a runner.
"""

import time

from msgspec.structs import replace

from bus.contracts.adoption import AdoptParams
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.experiments import ExperimentView
from bus.contracts.fields import VariantValue
from bus.contracts.pipeline_specs import StageSpec, check_text
from bus.contracts.values import cited, identity, is_same
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from learning_service.archive.imports import without_score_program
from learning_service.experiments.axes import axes_of
from learning_service.experiments.blocks import check_blocks
from learning_service.experiments.model import Experiment, experiment_view
from learning_service.experiments.plan import DEFINITION_BYTES, check_objective, check_size, check_sizes
from learning_service.experiments.settings import parts_of
from learning_service.experiments.sharding import Shard
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore
from learning_service.storage.unit_of_work import UnitOfWork


class Adopter:
    """Makes experiments of values that have pictures already, and adds values to them; each in one transaction."""

    def __init__(self, log: Log, store: LearningStore, shard: Shard, max_variants: int) -> None:
        """Wire the parts."""
        self._log, self._store, self._shard, self._max_variants = log, store, shard, max_variants

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.adopt", AdoptParams, self._adopt)

    def _adopt(self, params: AdoptParams) -> ExperimentView:
        name = params.experiment_id
        if not self._shard.owns(name):
            text = f"experiment_id: {name} does not belong to shard {self._shard}; choose another id"
            raise ControlError("invalid_request", text, {"shard": str(self._shard)})
        check_adopted(params, self._max_variants)
        self._store.trim()
        if self._store.deletions.has(name):
            raise ControlError("conflict", f"experiment {name} was deleted; choose another id", {"deleted": name})
        if name in self._store.being_made:
            raise ControlError("conflict", f"experiment {name} is being imported; choose another id")
        known = self._store.find(name)
        definition = without_score_program(params.definition) if known is None else more_of(known, params)
        values = dict(enumerate(params.values))
        now = time.time()
        with self._log.transaction(sync=True) as tx:
            work = UnitOfWork(tx, self._store)
            if known is None:
                draft = work.insert(Experiment(name, definition, created_at=now, discovered=True))
            else:
                draft = work.draft(name)
                draft.definition = definition
                self._store.write_definition(tx, draft)
            for index, value in values.items():
                if index not in draft.variants:
                    # all of its jobs have ended, of which there are none yet
                    variant = Variant(index=index, value=value, jobs={}, status="completed", revision=1, updated_at=now)
                    work.put(draft, variant, now)
            self._store.stale.mark(tx, [name])
            work.publish(draft, now)
        return experiment_view(self._store.get(name))


def check_adopted(params: AdoptParams, most: int) -> None:
    """Refuse a definition and values that do not fit together.

    Raises:
        InvalidInputError: naming the field.
    """
    definition, values = params.definition, params.values
    axes_of(definition)
    check_text("definition.name", definition.name)
    check_blocks(definition)
    check_objective(definition, StageSpec())
    check_sizes(definition, "definition.")
    check_size("values", values, DEFINITION_BYTES)
    if definition.mode != "grid":
        raise InvalidInputError("definition.mode: nothing is searched among pictures that exist; leave it out")
    if len(values) > most:
        text = "take fewer, or raise --max-variants of the learning service"
        raise InvalidInputError(f"values: {len(values)} variants are more than {most}; {text}")
    if len({identity(value) for value in values}) < len(values):
        raise InvalidInputError("values: one is there twice")
    names = {knob.name for knob in definition.knobs}
    for number, value in enumerate(values, 1):
        if isinstance(value, dict) != (len(names) > 1) or parts_of(definition, value).keys() != names:
            raise InvalidInputError(f"values #{number}: {_cited(value)} is no value of {definition.variable_name}")


def more_of(known: Experiment, params: AdoptParams) -> ExperimentDefinition:
    """Return the definition of an adopted experiment with more values; what a person has changed of it stays.

    Raises:
        ControlError: it was not adopted, or by other settings, or the values that it has are not the first ones.
    """
    name, before, after = known.experiment_id, known.definition, params.definition
    if not known.discovered:
        raise ControlError("conflict", f"experiment {name} was not adopted; choose another id")
    if known.archived:
        text = f"{name} is archived; take it out with `variantbus experiment unarchive {name}`"
        raise ControlError("conflict", text)
    if before.variable_name != after.variable_name or before.blocks != after.blocks:  # which repeats follow from
        text = f"{name} was adopted by {before.variable_name}, with other prompts or other settings; choose another id"
        raise ControlError("conflict", text)
    for index, variant in known.variants.items():
        if index >= len(params.values) or not is_same(variant.value, params.values[index]):
            text = f"{name} has {_cited(variant.value)} as value #{index + 1}; read it again, and add to its values"
            raise ControlError("conflict", text)
    return replace(
        after,
        name=before.name,
        objective=before.objective,
        goal=before.goal,
        within=before.within,
        score=before.score,
    )


def _cited(value: VariantValue) -> str:
    parts = value.items() if isinstance(value, dict) else [("", value)]
    return ", ".join(f"{name} {cited(part)}".strip() for name, part in parts)
