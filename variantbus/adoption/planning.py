"""From pictures with their settings to an experiment: its definition, values, and the place of each picture. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, field
from msgspec.structs import replace

from bus.contracts.archive import PictureRecord
from bus.contracts.definition import Block, ExperimentDefinition, Variable
from bus.contracts.fields import Config, Scalar, VariantValue
from bus.contracts.jobs import JobRequest
from bus.contracts.messages import LearningContext
from bus.contracts.values import identity, key_text
from bus.protocol.validation import InvalidInputError
from learning_service.experiments.axes import settings_set
from learning_service.experiments.blocks import MAX_REPEATS, block_of
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.settings import parts_of
from pipeline_runner.metadata.values import Settings, sized
from variantbus.adoption.choosing import Chosen, choose, selected
from variantbus.adoption.scanning import Found, Ignored
from variantbus.adoption.varying import PROMPT, SIZE, Varying, comparable, constant, counted, value_in

STAGE: Final = "txt2img"
SEEDS_MOST: Final = 256  # that a definition can name
VALUES_MOST: Final = 1000
LEAST_SHARED: Final = 1.5  # values that a seed is used for, on average, where they are compared seed by seed
TOOL: Final = "tool"  # the program that made a picture, where there are several


class Present(Struct, frozen=True, kw_only=True):
    """What an experiment has of a folder that was adopted before."""

    definition: ExperimentDefinition
    values: list[VariantValue]
    pictures: list[PictureRecord] = field(default_factory=list)


class Placed(NamedTuple):
    """A picture and the job whose result it becomes."""

    picture: Found
    job: PlannedJob


class Plan(NamedTuple):
    """An experiment of pictures.

    Attributes:
        definition: What it compares.
        values: Those of its variants, by their indices.
        placed: Pictures that it does not have yet.
        chosen: What it is compared by, with the numbers of pictures.
        known: How many of the pictures it has already.
        ignored: Pictures that have no place in it.
        are_paired: Whether pictures of different values have the same seeds.
    """

    definition: ExperimentDefinition
    values: list[VariantValue]
    placed: list[Placed]
    chosen: Chosen
    known: int
    ignored: list[Ignored]
    are_paired: bool


def plan(
    found: Sequence[Found],
    name: str,
    *,
    by: Sequence[str] = (),
    where: Mapping[str, Scalar] | None = None,
    present: Present | None = None,
) -> Plan:
    """Return the experiment of some pictures, or what they add to it.

    Raises:
        InvalidInputError: there is nothing to compare, or they do not belong into the experiment that is there.
    """
    if not found:
        raise InvalidInputError("there is no picture with settings in it; `--json` lists why each file was left out")
    compared = comparable(_with_tool(found))
    kept = selected(compared, where or {})
    pictures, compared = [found[place] for place in kept], [compared[place] for place in kept]
    chosen = choose(compared, by or _axes_before(present))
    if present:
        _check_alike(present.definition, chosen)
    definition = _definition(found, compared, chosen, name) if present is None else present.definition
    ignored: list[Ignored] = []
    mine: list[tuple[Found, Settings]] = []
    for picture, settings in zip(pictures, compared, strict=True):
        if chosen.prompts and _block_of(definition, settings) is None:
            ignored.append(Ignored(picture.name, "a prompt that the experiment does not have; adopt it as a new one"))
        else:
            mine.append((picture, settings))
    values = _values(mine, chosen, present)
    places = _Places(definition, present, mine, values)
    placed: list[Placed] = []
    for picture, settings in mine:
        if picture.sha256 in places.hashes:
            continue
        job = places.take(picture, settings)
        if job.repeat_index < MAX_REPEATS:
            placed.append(Placed(picture, job))
        else:
            ignored.append(Ignored(picture.name, f"more than {MAX_REPEATS} pictures of one value"))
    known = sum(picture.sha256 in places.hashes for picture, _ in mine)
    definition = _grown(definition, values, places)
    return Plan(definition, values, placed, chosen, known, ignored, places.are_paired)


def job_of(plan: Plan, experiment_id: str, placed: Placed) -> JobRequest:
    """Return the job whose result a picture becomes."""
    definition, job = plan.definition, placed.job
    config: Config = dict(placed.picture.settings)
    return JobRequest(
        job_id=job_id(experiment_id, job),
        pipeline=placed.picture.pipeline,
        stage=definition.stage,
        config=config,
        learning_context=LearningContext(
            experiment_id=experiment_id,
            experiment_name=definition.name,
            variant_index=job.variant_index,
            variable_under_test=definition.variable_name,
            variant_value=plan.values[job.variant_index],
            repeat_index=job.repeat_index,
            metric=UNSET,
        ),
    )


def seed_of(settings: Settings) -> int | None:
    """Return the seed of a picture, None if it has none that could be one."""
    seed = settings.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0 else None


def _with_tool(found: Sequence[Found]) -> list[Settings]:
    """Return the settings, with the program among them where there are several."""
    if len({one.pipeline for one in found}) == 1:
        return [one.settings for one in found]
    return [{TOOL: one.pipeline, **one.settings} for one in found]


def _axes_before(present: Present | None) -> list[str]:
    return [knob.name for knob in present.definition.knobs] if present else []


def _check_alike(before: ExperimentDefinition, chosen: Chosen) -> None:
    """Refuse to add pictures to an experiment that is compared by something else."""
    names = [axis.name for axis in chosen.axes]
    if names != [knob.name for knob in before.knobs]:
        text = f"it was adopted by {before.variable_name}; to compare it by {' and '.join(names)}"
        raise InvalidInputError(f"{text} make a new experiment with --name")
    if (chosen.prompts is None) != (not before.blocks):
        raise InvalidInputError("the prompts vary otherwise than before; make a new experiment of it with --name")


def _definition(
    found: Sequence[Found], compared: Sequence[Settings], chosen: Chosen, name: str
) -> ExperimentDefinition:
    pipelines = Counter(one.pipeline for one in found)
    blocks: list[Block] = []
    shared = constant(compared)
    if chosen.prompts:
        names = (PROMPT, *chosen.prompts.also)
        for prompt, _ in chosen.prompts.values:
            one = next(one for one in compared if identity(value_in(one, PROMPT)) == identity(prompt))
            blocks.append(Block(config={key: value_in(one, key) for key in names}))
        shared = {key: value for key, value in shared.items() if key not in names}
    knobs = tuple(_variable(axis, compared) for axis in chosen.axes)
    varied = {name for knob in knobs for name in settings_set(knob)}
    config: Config = {key: value for key, value in shared.items() if key not in varied}
    return ExperimentDefinition(
        name=name,
        variable=knobs[0] if len(knobs) == 1 else None,
        variables=knobs if len(knobs) > 1 else (),
        pipeline=pipelines.most_common(1)[0][0],
        stage=STAGE,
        config=config,
        blocks=tuple(blocks),
    )


def _variable(axis: Varying, compared: Sequence[Settings]) -> Variable:
    """Return a variable; its values set what varies together with it, too, and a size stands for two settings."""
    values = [value for value, _ in axis.values]
    if axis.name != SIZE and not axis.also:
        return Variable(name=axis.name, values=values)
    settings: dict[str, Config] = {}
    for value in values:
        one = next(one for one in compared if identity(value_in(one, axis.name)) == identity(value))
        own = sized({}, value) if axis.name == SIZE else {axis.name: value}
        settings[key_text(value)] = {**own, **{name: value_in(one, name) for name in axis.also}}
    return Variable(name=axis.name, values=values, settings=settings)


def _grown(definition: ExperimentDefinition, values: Sequence[VariantValue], places: "_Places") -> ExperimentDefinition:
    """Return the definition with all values of each variable, and the seeds that there are."""
    settings: list[Settings] = [parts_of(definition, value) for value in values]
    knobs = tuple(
        replace(knob, values=[value for value, _ in counted(settings, knob.name)]) for knob in definition.knobs
    )
    return replace(
        definition,
        variable=knobs[0] if definition.variable else None,
        variables=() if definition.variable else knobs,
        jobs_per_variant=max(1, min(SEEDS_MOST, places.ranks)),
        seeds=places.seeds,
        paired=places.are_paired,
    )


def _value(settings: Settings, names: Sequence[str]) -> VariantValue:
    parts = {name: value_in(settings, name) for name in names}
    return parts if len(names) > 1 else parts[names[0]]


def _values(mine: Sequence[tuple[Found, Settings]], chosen: Chosen, present: Present | None) -> list[VariantValue]:
    """Return the values that have pictures: those that are there already, and behind them new ones in their order."""
    names = [axis.name for axis in chosen.axes]
    order = {axis.name: {identity(value): at for at, (value, _) in enumerate(axis.values)} for axis in chosen.axes}
    new: dict[object, tuple[tuple[int, ...], VariantValue]] = {}
    known = {identity(value) for value in present.values} if present else set()
    for _, settings in mine:
        value = _value(settings, names)
        if identity(value) not in known:
            place = tuple(order[name][identity(value_in(settings, name))] for name in names)
            new.setdefault(identity(value), (place, value))
    values = [
        *(present.values if present else ()),
        *(value for _, value in sorted(new.values(), key=lambda one: one[0])),
    ]
    if len(values) > VALUES_MOST:
        text = f"{len(values)} values are more than {VALUES_MOST}"
        raise InvalidInputError(f"{text}; choose a setting with fewer with --by, or some pictures with --where")
    return values


def _block_of(definition: ExperimentDefinition, settings: Settings) -> int | None:
    prompt = identity(value_in(settings, PROMPT))
    for place, block in enumerate(definition.blocks):
        told = block.config.get(PROMPT)
        if isinstance(told, str) and identity(told) == prompt:
            return place
    return None


class _Places:
    """Gives each picture its place: pictures with the same seed are the same repeat, if seeds come again at all."""

    def __init__(
        self,
        definition: ExperimentDefinition,
        present: Present | None,
        mine: Sequence[tuple[Found, Settings]],
        values: Sequence[VariantValue],
    ) -> None:
        self._definition = definition
        self._names = [knob.name for knob in definition.knobs]
        self._indices = {identity(value): index for index, value in enumerate(values)}
        self._blocks = max(1, len(definition.blocks))
        self._rank_of: dict[int, int] = {}  # seed -> which of the seeds it is
        self._taken: Counter[tuple[int, int]] = Counter()  # variant and repeat
        self.hashes: set[str] = set()
        self.ranks = 0
        seeds_at: dict[int, set[int]] = {}
        for one in present.pictures if present else ():
            self.hashes.add(one.image.sha256)
            self._taken[one.variant_index, one.repeat_index] += 1
            rank = one.repeat_index // self._blocks
            self.ranks = max(self.ranks, rank + 1)
            if one.image.seed is not None:
                seeds_at.setdefault(rank, set()).add(one.image.seed)
        if self.hashes:
            self.are_paired = bool(seeds_at) and all(len(seeds) == 1 for seeds in seeds_at.values())
            self._rank_of = {min(seeds): rank for rank, seeds in seeds_at.items()} if self.are_paired else {}
        else:
            self.are_paired = self._come_again(mine)
            if self.are_paired:
                seeds = {seed for _, settings in mine if (seed := seed_of(settings)) is not None}
                self._rank_of = {seed: rank for rank, seed in enumerate(sorted(seeds))}
        self.ranks = max(self.ranks, len(self._rank_of))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the repeats, where pictures of different values share them."""
        seeds = {rank: seed for seed, rank in self._rank_of.items()}
        return tuple(seeds[rank] for rank in range(min(len(seeds), MAX_REPEATS)) if rank in seeds)

    def take(self, picture: Found, settings: Settings) -> PlannedJob:
        """Return the next free place for a picture."""
        index, block = self._cell(settings)
        seed = seed_of(picture.settings) if self.are_paired else None
        if seed is None:
            rank = 0
            while self._taken[index, rank * self._blocks + block]:
                rank += 1
        else:
            rank = self._rank_of.setdefault(seed, max(self.ranks, len(self._rank_of)))
        self.ranks = max(self.ranks, rank + 1)
        repeat = rank * self._blocks + block
        again = self._taken[index, repeat]
        self._taken[index, repeat] += 1
        return PlannedJob(index, repeat, again)

    def _cell(self, settings: Settings) -> tuple[int, int]:
        index = self._indices[identity(_value(settings, self._names))]
        return index, _block_of(self._definition, settings) or 0

    def _come_again(self, mine: Sequence[tuple[Found, Settings]]) -> bool:
        """Return whether about the same seeds were used for each value, as grids do, and not other ones each time."""
        seeds: dict[tuple[int, int], set[int]] = {}
        for picture, settings in mine:
            seed = seed_of(picture.settings)
            if seed is None:
                return False
            seeds.setdefault(self._cell(settings), set()).add(seed)
        different = len(set[int]().union(*seeds.values()))
        return sum(map(len, seeds.values())) >= LEAST_SHARED * different


def block_counts(plan: Plan) -> Counter[int]:
    """Return how many new pictures each block gets."""
    return Counter(block_of(plan.definition, one.job.repeat_index) for one in plan.placed)
