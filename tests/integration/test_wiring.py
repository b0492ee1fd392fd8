"""How the processes of one `variantbus up` find each other."""

from tests.support.workspace import steady_ports
from variantbus.cli.wiring import wire


def test_the_own_runner_is_followed_once_whatever_it_is_called() -> None:
    """Whoever names it among the others would have it twice, and all its events."""
    feed, control = steady_ports()
    runner = {"host": "127.0.0.1", "feed_port": feed, "control_port": control}
    learning = {"host": "127.0.0.1", "feed_port": 0, "control_port": 0}
    others = [f"tcp://localhost:{control}", "tcp://gpu:5561", f"tcp://127.0.0.1:{control}", "tcp://gpu:5561"]

    found = wire(runner, learning, {"host": "127.0.0.1", "port": 0}, others).arguments["learning"]

    assert found[2:] == [f"--runner=tcp://127.0.0.1:{control}", "--runner=tcp://gpu:5561"]
