"""The entry point of the `variantbus` command: it names the extra to install if `cli` is missing."""

import importlib.util
import signal
import sys

from bus.telemetry.streams import accept_all_text


def main() -> None:
    """Run the command."""
    accept_all_text()
    missing = [name for name in ("click", "rich", "platformdirs", "numpy") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"Error: this is the bare library ({', '.join(missing)} missing); install variantbus[all]")
    try:
        from variantbus.cli.main import main as command  # noqa: PLC0415 - only now is it sure to be importable
    except KeyboardInterrupt:  # importing takes a moment, and Ctrl-C is no error of ours
        sys.exit(128 + signal.SIGINT)
    command()
