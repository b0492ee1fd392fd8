"""The entry point of the `variantbus` command: it names the extra to install if `cli` is missing."""

import signal
import sys

from bus.console.extras import needing
from bus.telemetry.streams import accept_all_text


def main() -> None:
    """Run the command."""
    accept_all_text()
    try:
        with needing("cli"):
            from variantbus.cli.main import main as command  # noqa: PLC0415 - only now is it known what is missing
    except KeyboardInterrupt:  # importing takes a moment, and Ctrl-C is no error of ours
        sys.exit(128 + signal.SIGINT)
    try:
        command()
    except OSError as error:  # of --help and --version, which click prints; the commands themselves have `user_errors`
        sys.exit(f"Error: stdout: {error.strerror}")
