"""How the processes of one `variantbus up` find each other."""

from dataclasses import replace
from pathlib import Path

from bus.console.options import LEARNING_CONTROL, RUNNER_CONTROL, usual_data_dir
from tests.support.workspace import steady_ports
from variantbus.cli.up import variables
from variantbus.cli.wiring import Wiring, wire


def test_the_own_runner_is_followed_once_whatever_it_is_called() -> None:
    """Whoever names it among the others would have it twice, and all its events."""
    feed, control = steady_ports()
    runner = {"host": "127.0.0.1", "feed_port": feed, "control_port": control, "keys": None}
    learning = {"host": "127.0.0.1", "feed_port": 0, "control_port": 0}
    others = [f"tcp://localhost:{control}", "tcp://gpu:5561", f"tcp://127.0.0.1:{control}", "tcp://gpu:5561"]

    found = wire(runner, learning, {"host": "127.0.0.1", "port": 0}, others).arguments["learning"]

    assert found[2:] == [f"--runner=tcp://127.0.0.1:{control}", "--runner=tcp://gpu:5561"]


def test_commands_in_other_terminals_are_told_the_keys_that_up_has(tmp_path: Path) -> None:
    """Without them they would be refused; what is where they look anyway is not named."""
    wiring = Wiring(RUNNER_CONTROL, LEARNING_CONTROL, None, {})
    assert variables(usual_data_dir(), wiring) == ""
    assert variables(usual_data_dir(), replace(wiring, keys=tmp_path / "my keys")) == (
        f"VARIANTBUS_KEYS='{tmp_path}/my keys'"
    )
    assert variables(tmp_path, replace(wiring, runner="tcp://127.0.0.1:9")) == (
        f"VARIANTBUS_DATA_DIR={tmp_path} VARIANTBUS_RUNNER=tcp://127.0.0.1:9"
    )
