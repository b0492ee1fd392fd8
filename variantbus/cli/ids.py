"""The arguments of commands that take the id of an experiment or a job."""

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from bus.console.options import LEARNING_CONTROL, RUNNER_CONTROL
from bus.console.process import user_errors
from bus.protocol.addresses import AddressError
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from variantbus.client.ids import EXPERIMENTS, JOBS, Kind, found_ids, resolved

F = TypeVar("F", bound=Callable[..., Any])
TAB_SECONDS: Final = 1.0  # that a person waits for a completion
ADDRESSES: Final = {"learning": LEARNING_CONTROL, "runner": RUNNER_CONTROL}


class IdType(click.ParamType[str]):
    """An id, of which a unique beginning suffices; the shell completes it."""

    name = "id"

    def __init__(self, kind: Kind) -> None:
        """Take ids of experiments, or of jobs."""
        self._kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the ids that begin so; none if the service does not answer at once."""
        del param
        address = ctx.params.get(self._kind.service) or ADDRESSES[self._kind.service]
        keys = ctx.params.get("keys")
        with suppress(ControlError, AddressError, InvalidInputError):
            ids = found_ids(self._kind, address, keys, prefix=incomplete, timeout=TAB_SECONDS)
            return [CompletionItem(one) for one in ids]
        return []


def experiment_argument(command: F) -> F:
    """Add the argument ID; the command gets the whole id."""
    return _argument(command, EXPERIMENTS, "experiment_id", metavar="ID")


def optional_experiment_argument(command: F) -> F:
    """Add an ID that may be left out: the command gets "" then."""
    return _argument(command, EXPERIMENTS, "experiment_id", metavar="[ID]", default="")


def experiments_argument(command: F) -> F:
    """Add one or more IDs; the command gets each whole id once."""
    return _argument(command, EXPERIMENTS, "experiment_ids", metavar="ID…", nargs=-1, required=True)


def job_argument(command: F) -> F:
    """Add the argument ID of a job; the command gets the whole id."""
    return _argument(command, JOBS, "job_id", metavar="ID")


def _argument(command: F, kind: Kind, name: str, **settings: Any) -> F:
    @wraps(command)
    def with_whole_ids(**given: Any) -> Any:
        typed, address, keys = given[name], given[kind.service], given["keys"]
        with user_errors():
            if isinstance(typed, tuple):
                given[name] = tuple(dict.fromkeys(resolved(kind, address, one, keys) for one in typed))
            elif typed or "default" not in settings:
                given[name] = resolved(kind, address, typed, keys)
        return command(**given)

    return click.argument(name, type=IdType(kind), **settings)(with_whole_ids)  # type: ignore[return-value]
