"""How long a job at a server may take: the key `timeout_seconds` of its configuration."""

from typing import Final

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec

DEFAULT_TIMEOUT: Final = 3600.0  # seconds
TIME_LIMIT: Final = {
    "timeout_seconds": VariableSpec(
        kind="float", minimum=1, maximum=7 * 86_400, unit="seconds", target="when the job is interrupted"
    )
}


def timeout_of(config: Config) -> float:
    """Return the seconds that a job may take."""
    found = config.get("timeout_seconds")
    return float(found) if isinstance(found, int | float) else DEFAULT_TIMEOUT
