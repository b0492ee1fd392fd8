"""The sampler, imported when it is first used: Optuna takes a second, and not every installation has it."""

from typing import TYPE_CHECKING

from bus.console.extras import install_command
from bus.protocol.control import ControlError

if TYPE_CHECKING:
    from learning_service.search.policy import Propose


def load_sampler() -> "Propose":
    """Import the sampler that proposes the next values of an adaptive experiment.

    Raises:
        ControlError: the extra `adaptive` is not installed (code `unavailable`).
    """
    try:
        from learning_service.search.propose import propose  # noqa: PLC0415 - see above
    except ImportError:
        text = f"an adaptive experiment needs optuna at the learning service: {install_command('adaptive')}"
        raise ControlError("unavailable", text) from None
    return propose
