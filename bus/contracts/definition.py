"""An experiment as a person defines it: its variables, its settings, and its blocks.

Readers ignore fields that they do not know; writers only add fields; a field never changes its meaning.
"""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from bus.contracts.fields import SEED_MAX, Config, Priority, Scalar
from bus.contracts.scoring import ScoreSettings
from bus.contracts.values import cited
from bus.protocol.doors import bounds, words
from bus.protocol.validation import InvalidInputError

_PERCENT: Final = re.compile(r"(?P<number>\d{1,4}(\.\d{1,3})?)\s*%")

Seed = Annotated[int, bounds(ge=0), Meta(extra_json_schema={"maximum": SEED_MAX})]


class Variable(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A knob that an experiment turns: a list of values, or start/stop/step with both ends included.

    `values` may be the word `all`: everything that the pipeline offers for it. Each value is that of the setting
    called `name`, unless one of these is there. `settings`: the values are names, and what each of them sets stands
    there. `replace`: a value takes the place of this text in `setting`, or where that is empty in the setting called
    `name`. `fills`: a value takes the place of `{name}` in all texts of the settings, where `{{name}}` is that text.
    """

    name: Annotated[str, bounds(min_length=1, max_length=128)]
    values: list[Scalar] | Annotated[str, words("all")] | None = None
    start: int | float | str | None = None
    stop: int | float | str | None = None
    step: int | float | str | None = None
    settings: dict[str, Config] = field(default_factory=dict)
    replace: Annotated[str, bounds(max_length=500)] = ""
    setting: Annotated[str, bounds(max_length=128)] = ""
    fills: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether its values are those of the setting of its name."""
        return not (self.settings or self.replace or self.fills)


class Block(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Settings, such as a prompt, that go before those of the experiment; without a name people see the settings."""

    name: Annotated[str, bounds(max_length=200)] = ""
    config: Config = field(default_factory=dict)


class ExperimentDefinition(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a person writes into an experiment file: one variable, or up to six `variables` that make a grid.

    Of a grid all combinations are planned but those that fulfil every condition of one of the maps in `skip`: a value,
    a list of which one is enough, or a text such as `>2` or `!=lcm`. With `sample` only so many of them are, spread
    evenly; of an adaptive experiment they are the first ones.

    With `blocks` each value has `jobs_per_variant` seeds under each of them: repeat `r` is that of block `r % n`, of
    `n`, with the seed `seed + r // n`; without blocks `n` is 1. Pictures that were made elsewhere have any `seeds`, in
    the order of `r // n`; where not `paired`, each has its own, and a repeat only counts the pictures of a value.

    `objective` says what makes a value good: `stars` or `preference` of a person, `seconds`, or the name of a metric
    that jobs report. The `goal` is for the last two; without one, `seconds` is minimized and a metric maximized. An
    `adaptive` experiment begins with the values given and goes on by itself, until one value is best with the
    probability `stop_p_best` or it has had `budget` jobs in all.

    `within` says by how much a value may take longer than the fastest one and still be the answer: `20%`.

    `score` says what measures each picture besides the pipeline; an objective may be one of its metrics.
    """

    name: Annotated[str, bounds(min_length=1, max_length=200)]
    variable: Variable | None = None
    variables: tuple[Variable, ...] = ()
    skip: Annotated[tuple[dict[str, Scalar | list[Scalar]], ...], bounds(max_length=1000)] = ()
    sample: Annotated[int, bounds(ge=1, le=100_000)] | None = None
    pipeline: Annotated[str, bounds(min_length=1, max_length=64)] = "embedded"
    stage: Annotated[str, bounds(min_length=1, max_length=64)] = "txt2img"
    jobs_per_variant: Annotated[int, bounds(ge=1, le=256)] = 1
    seed: Seed = 0
    priority: Priority = 0  # its jobs run before those of lower ones
    exclusive: bool | None = None  # whether each of its jobs runs alone on its runner; nil: if their time decides
    config: Config = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    objective: Annotated[str, bounds(min_length=1, max_length=100)] = "stars"
    goal: Annotated[str, words("maximize", "minimize")] | None = None
    within: Annotated[str, bounds(min_length=1, max_length=100)] | None = None
    mode: Annotated[str, words("grid", "adaptive")] = "grid"
    budget: Annotated[int, bounds(ge=1, le=100_000)] | None = None
    stop_p_best: Annotated[float, bounds(gt=0.5, lt=1)] = 0.9
    seeds: Annotated[tuple[Seed, ...], bounds(max_length=1024)] = ()
    paired: bool = True
    score: ScoreSettings | None = None
    origin: Annotated[str, bounds(max_length=500)] = ""  # the file that it was made from, and what was changed

    @property
    def knobs(self) -> tuple[Variable, ...]:
        """All its variables; their names are different, and are the keys of the values of a grid."""
        return (self.variable,) if self.variable else self.variables

    @property
    def is_adopted(self) -> bool:
        """Whether it is about pictures that were made elsewhere."""
        return bool(self.seeds) or not self.paired

    @property
    def repeats(self) -> int:
        """The jobs that each value is planned with: every seed under every block."""
        return self.jobs_per_variant * max(1, len(self.blocks))

    @property
    def slack(self) -> float | None:
        """By what share of the fastest one's time a value may take longer and still count; None: its time is no matter.

        Raises:
            InvalidInputError: `within` is no share.
        """
        if self.within is None:
            return None
        number = _PERCENT.fullmatch(self.within.strip())
        if number is None:
            raise InvalidInputError(f'within: {cited(self.within)} is no share; write for example "20%"')
        return float(number["number"]) / 100

    @property
    def minimizes(self) -> bool:
        """Whether less of its objective is better."""
        return self.goal == "minimize" or (self.goal is None and self.objective == "seconds")

    @property
    def variable_name(self) -> str:
        """What contexts and statuses call the variable under test; of a grid `FIRST x SECOND`."""
        return self.variable.name if self.variable else " x ".join(knob.name for knob in self.variables)


# what people may write into an experiment file outside of its tables; some of it the command turns into other keys
OF_THE_WHOLE: Final = {*ExperimentDefinition.__struct_fields__, "prompts", "prompts_file", "extends"}
