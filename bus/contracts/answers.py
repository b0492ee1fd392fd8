"""What an answer says besides the best value: what variables matter, what speed costs, what single prompts show."""

from msgspec import Struct

from bus.contracts.fields import Scalar, VariantValue


class Share(Struct, frozen=True, kw_only=True, gc=False):
    """A share of the variance between all values, 0..1, with its 90 % interval."""

    mean: float
    low: float
    high: float


class AxisValue(Struct, frozen=True, kw_only=True, gc=False):
    """One value of one of several variables: its mean over all values of the others, with the 90 % interval."""

    value: Scalar
    mean: float
    low: float
    high: float


class AxisEffect(Struct, frozen=True, kw_only=True, gc=False):
    """How much one of several variables matters.

    `alone` is the share of what its values do on average over all others, `total` with what it does together with
    others. `probability` is that it makes a noticeable difference, and has 5 % of the whole or more.
    """

    name: str
    alone: Share
    total: Share
    probability: float
    values: tuple[AxisValue, ...]


class Interaction(Struct, frozen=True, kw_only=True, gc=False):
    """How much what one variable does depends on another one.

    `probability` is that this makes a noticeable difference, and has 5 % of the whole or more.
    """

    names: tuple[str, str]
    share: Share
    probability: float


class TradeOff(Struct, frozen=True, kw_only=True, gc=False):
    """One of the values to choose from where time counts: what it takes in `seconds`, and its `mean`.

    Each is better than those that are faster, and no other value is noticeably better in as little time.
    """

    value: VariantValue
    seconds: float
    mean: float


class BlockAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """Which value is expected to be the best in one block, such as under one prompt.

    `probability` is that it is better there, by more than what matters, than the value that is recommended; 0 for that
    value itself.
    """

    name: str
    value: VariantValue
    probability: float
