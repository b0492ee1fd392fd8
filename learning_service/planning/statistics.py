"""What a plan needs of numpy and scipy: an even spread of combinations."""

from bus.contracts.definition import ExperimentDefinition
from bus.transport.steps import Steps, in_thread, wait
from learning_service.recommendation.lazy import load_statistics


def load_for(definition: ExperimentDefinition) -> Steps[None]:
    """Import, in a thread, what planning this experiment needs; of most, nothing.

    Raises:
        ControlError: it is not installed (code `unavailable`).
    """
    if definition.mode == "adaptive" or definition.sample:
        yield from wait(in_thread(_load, "import"))


def _load() -> None:
    load_statistics()
    import scipy.stats  # noqa: F401, PLC0415 - see above; a part of it need not be among the statistics
