"""The judgement of a person about two pictures."""

from msgspec import Struct

from bus.contracts.messages import Outcome


class Picture(Struct, frozen=True, kw_only=True, order=True, gc=False):
    """A picture that can be shown beside another."""

    variant_index: int
    repeat_index: int
    sha256: str


class Preference(Struct, frozen=True, kw_only=True, order=True, gc=False):
    """Which of two pictures is better. `both_bad` is counted like `tie`."""

    left: Picture
    right: Picture
    outcome: Outcome
