"""What is not installed, as one sentence that says how to install it; needs nothing but Python itself."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OURS: Final = ("bus", "pipeline_runner", "learning_service", "variantbus")
EXIT_USAGE: Final = 2


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Import within the block what comes with an extra; without it the process ends with a sentence that names it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        sys.stderr.write(f"Error: {missing_text(extra, missing)}\n")
        sys.exit(EXIT_USAGE)


def missing_text(extra: str, missing: str) -> str:
    """Return that a module is missing, and how the extra to which it belongs is installed."""
    from bus.console.installing import install_command  # noqa: PLC0415 - what it imports takes longer than all of `--help`

    return f"this needs the extra `{extra}` ({missing} is not installed): {install_command(extra)}"
