"""What a screen asks that lists experiments, however many there are: their order, and what it shows of those in sight.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from bus.contracts.fields import Id, VariantValue
from bus.contracts.messages import ExperimentStatus, ImageRef, VariantState

Order = Literal["newest", "oldest", "changed", "name", "waiting"]


class ExperimentIndexParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.index`: which experiments there are, by id, in an order.

    `search` and `archived` as in `experiment.list`. `states`: only those in one of these; none: all. `order`: `changed`
    is by the newest event, `waiting` by the number of completed jobs whose results wait for stars, most first.
    """

    search: Annotated[str, Meta(max_length=200)] = ""
    states: list[VariantState] = field(default_factory=list)
    archived: bool | None = None
    order: Order = "newest"


class ExperimentIndexReply(Struct, frozen=True, kw_only=True):
    """As many ids as fit into `limits.page_bytes`, and how many there are in all."""

    ids: list[str]
    total: int


class OverviewParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.overview`: what a list shows of some experiments."""

    experiment_ids: Annotated[list[Id], Meta(max_length=100)]


class Leader(Struct, frozen=True, kw_only=True):
    """The value that leads, as of the newest recommendation; see there."""

    value: VariantValue
    p_best: float | None
    tier: str


class Overview(Struct, frozen=True, kw_only=True):
    """One experiment in a list: its status, the value that leads, and a few of its results.

    `images`: one of each of a few values, the best ones first where that is known. `unrated`: the results that wait for
    a person's stars, counted up to 1,000; 0 where stars decide nothing, or all is decided.
    """

    experiment: ExperimentStatus
    leader: Leader | None
    images: list[ImageRef]
    unrated: int


class OverviewReply(Struct, frozen=True, kw_only=True):
    """Those that there are, in the order of the request; `rest` are those for which there was no room: ask again."""

    overviews: list[Overview]
    rest: list[str]
