"""Life cycles are tables, state → event → next state; this is their one interpreter."""

from collections.abc import Mapping
from typing import TypeVar

S = TypeVar("S", bound=str)
E = TypeVar("E", bound=str)


class IllegalTransitionError(Exception):
    """An event that cannot happen in this state; the state is unchanged."""


def step(thing: str, table: Mapping[S, Mapping[E, S]], state: S, event: E) -> S:
    """Return the state after an event; `thing` names in the error what the table is about.

    Raises:
        IllegalTransitionError: the table does not have it.
    """
    try:
        return table[state][event]
    except KeyError:
        raise IllegalTransitionError(f"a {thing} that is {state} cannot take {event}") from None
