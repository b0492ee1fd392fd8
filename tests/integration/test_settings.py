"""The config file and the limits: what may stand in them, what counts before, and that the documentation says so."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import pytest
from click.testing import CliRunner

from bus.config.limits import DEFAULT_LIMITS, Limits
from bus.config.settings import defaults_for, read_settings
from bus.protocol.validation import InvalidInputError
from learning_service.main import main as learning
from pipeline_runner.main import main as runner
from variantbus.cli.main import main

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final = ("runner", "learning", "dashboard")
ROW: Final = re.compile(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| .+ \|$", re.MULTILINE)
EVERYTHING: Final = """
data_dir = "/data"
durability = "full"
log_level = "info"
log_format = "text"
keys = "/keys"
host = "127.0.0.1"
insecure = false
cluster = "nats://127.0.0.1"
[runner]
address = "tcp://127.0.0.1:2"
feed_port = 1
control_port = 2
advertise = "tcp://127.0.0.1:9"
workers = 3
webui_url = "http://127.0.0.1:7861"
webui_auth_file = "secret"
comfyui_url = "http://127.0.0.1:8189"
sdnext_url = "http://127.0.0.1:7862"
sdnext_auth_file = "secret"
swarmui_url = "http://127.0.0.1:7802"
swarmui_token_file = "secret"
[learning]
address = "tcp://127.0.0.1:4"
feed_port = 3
control_port = 4
advertise = "tcp://127.0.0.1:8,tcp://127.0.0.1:7"
runners = ["tcp://127.0.0.1:2"]
runner_feeds = ["tcp://127.0.0.1:2=tcp://127.0.0.1:1"]
shard = "1/3"
max_variants = 5
[dashboard]
host = "127.0.0.1"
port = 5
password_file = "secret"
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for variable in ("CONFIG", "DATA_DIR", "DURABILITY", "RUNNER", "RUNNERS", "LEARNING", "LOG_LEVEL", "KEYS", "HOST"):
        monkeypatch.delenv(f"VARIANTBUS_{variable}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def written(folder: Path, text: str) -> Path:
    """Write a config file."""
    path = folder / "variantbus.toml"
    path.write_text(text, encoding="utf-8")
    return path


def options_of(command: click.Command, *arguments: str | Path) -> dict[str, Any]:
    """Return what a command makes of its arguments."""
    name = command.name or ""
    return command.make_context(name, [str(argument) for argument in arguments]).params


def test_the_table_of_the_documentation_is_the_struct() -> None:
    """Every limit is in docs/limits.md with its default and its bounds, and nothing else is."""
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    schema = msgspec.json.schema(Limits)["$defs"]["Limits"]["properties"]
    wanted = [(name, one["default"], one["minimum"], one["maximum"]) for name, one in schema.items()]

    assert [(name, *map(int, numbers)) for name, *numbers in ROW.findall(page)] == wanted


def test_every_limit_can_be_set_to_its_bounds_and_no_further(tmp_path: Path) -> None:
    """A number outside is refused with the name of the key."""
    for name, one in msgspec.json.schema(Limits)["$defs"]["Limits"]["properties"].items():
        if name not in ("job_bytes", "body_bytes"):
            for value in (one["minimum"], one["maximum"]):
                path = written(tmp_path, f"[limits]\n{name} = {value}")
                assert getattr(read_settings(path).limits, name) == value
        for value in (one["minimum"] - 1, one["maximum"] + 1):
            with pytest.raises(InvalidInputError, match=rf"limits\.{name}: "):
                read_settings(written(tmp_path, f"[limits]\n{name} = {value}"))


def test_every_setting_of_the_environment_is_one_of_the_config_file(tmp_path: Path) -> None:
    """Whatever has an environment variable has a key, under the name of its option; and every key has an option."""
    everything = read_settings(written(tmp_path, EVERYTHING))
    used: set[str] = set()

    def look(command: click.Command) -> None:
        if isinstance(command, click.Group):
            for one in command.commands.values():
                look(one)
        if command.name == "keygen":  # its folder is the one that others will use
            return
        named = {one.name for one in command.params if one.envvar}
        defaults = defaults_for(command.name or "", everything)
        used.update(named & defaults.keys())
        assert named - {"config"} <= defaults.keys(), command.name
        assert ("config" in named) == bool(named), f"{command.name} takes settings, but no --config"

    look(main)
    assert used == {name for one in SERVICES for name in defaults_for(one, everything)} - {"address"}


def test_flag_counts_before_environment_before_file_before_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the four, one after another."""
    assert options_of(runner)["workers"] == 2
    path = written(tmp_path, '[runner]\nworkers = 3\n[learning]\nmax_variants = 5\nrunners = ["tcp://a:1"]')
    assert options_of(runner, "--config", path)["workers"] == 3
    assert options_of(learning, "--config", path)["max_variants"] == 5
    assert list(options_of(learning, "--config", path)["runners"]) == ["tcp://a:1"]

    monkeypatch.setenv("VARIANTBUS_RUNNER_WORKERS", "4")
    assert options_of(runner, "--config", path)["workers"] == 4
    assert options_of(runner, "--config", path, "--workers", "5")["workers"] == 5


def test_the_file_is_found_by_flag_by_environment_and_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is named must be there; the usual one need not."""
    usual = tmp_path / "none" / "variantbus" / "variantbus.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("[runner]\nfeed_port = 1\naddress = 'tcp://h:7'", encoding="utf-8")
    assert options_of(runner)["feed_port"] == 1
    assert list(options_of(learning)["runners"]) == ["tcp://h:7"]  # the one runner that is named is followed
    assert options_of(main.commands["tail"])["runner"] == "tcp://h:7"

    named = written(tmp_path, "[runner]\nfeed_port = 2")
    monkeypatch.setenv("VARIANTBUS_CONFIG", str(named))
    assert options_of(runner)["feed_port"] == 2

    monkeypatch.setenv("VARIANTBUS_CONFIG", str(tmp_path / "missing.toml"))
    result = CliRunner().invoke(main, ["experiment", "list"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "missing.toml: cannot be read (No such file or directory); check the path" in result.stderr


def directory(path: Path) -> None:
    """Put a folder where the file should be."""
    path.mkdir()


BAD: dict[str, tuple[str | bytes | Callable[[Path], None], str]] = {
    "a directory": (directory, "cannot be read (Is a directory)"),
    "latin-1": ("data_dir = '/tmp/ä'".encode("latin-1"), "is not UTF-8"),
    "a NUL": (b"data_dir = '\0'", "is no valid TOML"),
    "no TOML": ("data_dir", "is no valid TOML"),
    "deep nesting": (f"data_dir = {'[' * 5000}{']' * 5000}", "is no valid TOML"),
    "an unknown key": ("durabilty = 'full'", "durabilty: unknown key; did you mean 'durability'?"),
    "an unknown table": ("[limit]", "limit: unknown key; did you mean 'limits'?"),
    "an unknown limit": ("[limits]\nbody_byte = 1", "limits.body_byte: unknown key; did you mean 'body_bytes'?"),
    "a key of the other service": ("[runner]\nmax_variants = 1", "runner.max_variants: unknown key"),
    "a text for a number": ("[runner]\nworkers = '2'", "runner.workers: must be a whole number, not text"),
    "a truth for a number": ("[runner]\nworkers = true", "runner.workers: must be a whole number, not true or false"),
    "nan": ("[limits]\npage_events = nan", "limits.page_events: must be a whole number, not a decimal number"),
    "infinity": ("[limits]\npage_events = inf", "limits.page_events: must be a whole number, not a decimal number"),
    "a number that no machine has": (f"[limits]\npage_events = 1{'0' * 30}", "limits.page_events: "),
    "a negative number": ("[limits]\npage_events = -1", "limits.page_events: must be a whole number from 1 to 100000"),
    "a port too high": ("[runner]\nfeed_port = 65536", "runner.feed_port: must be a whole number from 0 to 65535"),
    "a word that is none": ("durability = 'fast'", "durability: must be normal or full, not 'fast'"),
    "no address": ("[runner]\naddress = 'localhost:1'", "runner.address: 'localhost:1' is no address"),
    "an address too high": ("[learning]\nrunners = ['tcp://h:99999']", "learning.runners #1: 'tcp://h:99999' is no"),
    "no runners": ("[learning]\nrunners = []", "learning.runners: must be a list that is not empty"),
    "limits that do not fit": ("[limits]\njob_bytes = 700_000", "job_bytes: 700000 is more than half of body_bytes"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    """It names the file, the key, and what to do; the exit status is 2, and there is no traceback."""
    content, sentence = BAD[case]
    path = tmp_path / "bad.toml"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    result = CliRunner().invoke(main, ["job", "list", "--config", str(path)])

    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert f"{path}: {sentence}" in result.stderr


def test_an_empty_file_and_a_byte_order_mark_are_no_faults(tmp_path: Path) -> None:
    """Editors write such files."""
    assert read_settings(written(tmp_path, "")).limits == DEFAULT_LIMITS
    assert read_settings(written(tmp_path, "\ufeffdurability = 'full'")).durability == "full"


def test_help_needs_no_good_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for help gets it."""
    monkeypatch.setenv("VARIANTBUS_CONFIG", str(tmp_path / "missing.toml"))
    assert CliRunner().invoke(main, ["runner", "--help"]).exit_code == 0


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell has expanded the tilde."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = written(tmp_path, 'data_dir = "~/data"')
    assert options_of(runner, "--config", path)["data_dir"] == tmp_path / "data"
