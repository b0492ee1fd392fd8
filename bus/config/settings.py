"""The config file: its keys, and the defaults that it gives a command. A flag or an environment variable overrides it.

Each key is the option of the same name; a key that is absent leaves the option's default.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import asdict

from bus.config.limits import Limits, check_limits
from bus.config.toml_file import read_toml
from bus.protocol.addresses import AddressError, parse_address
from bus.protocol.validation import InvalidInputError

Port = Annotated[int, Meta(ge=0, le=65_535)]


class ServiceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of both services. `address` is that of the control socket, for commands."""

    address: str | UnsetType = UNSET
    feed_port: Port | UnsetType = UNSET
    control_port: Port | UnsetType = UNSET
    advertise: str | UnsetType = UNSET


class RunnerSettings(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[runner]`."""

    workers: Annotated[int, Meta(ge=1, le=64)] | UnsetType = UNSET
    webui_url: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    webui_auth_file: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    comfyui_url: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    sdnext_url: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    sdnext_auth_file: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    swarmui_url: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    swarmui_token_file: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET


class LearningSettings(ServiceSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[learning]`."""

    runners: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET
    runner_feeds: Annotated[list[str], Meta(min_length=1)] | UnsetType = UNSET
    shard: str | UnsetType = UNSET
    max_variants: Annotated[int, Meta(ge=1, le=100_000)] | UnsetType = UNSET


class DashboardSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[dashboard]`."""

    host: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    port: Annotated[int, Meta(ge=0, le=65_535)] | UnsetType = UNSET
    password_file: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET


class NotifySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[notify]`, also of an experiment file: who is told, by addresses that hold secrets, and of what."""

    urls: Annotated[list[Annotated[str, Meta(min_length=1, max_length=2000)]], Meta(min_length=1, max_length=20)]
    on: Annotated[tuple[Literal["end", "failure", "stars"], ...], Meta(min_length=1)] = ("end", "failure", "stars")


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    data_dir: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    durability: Literal["normal", "full"] | UnsetType = UNSET
    log_level: Literal["debug", "info", "warning", "error"] | UnsetType = UNSET
    log_format: Literal["text", "json"] | UnsetType = UNSET
    keys: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    host: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    insecure: bool | UnsetType = UNSET
    cluster: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    runner: RunnerSettings = field(default_factory=RunnerSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    dashboard: DashboardSettings = field(default_factory=DashboardSettings)
    notify: NotifySettings | UnsetType = UNSET
    limits: Limits = field(default_factory=Limits)


def read_settings(path: Path) -> Settings:
    """Read a config file.

    Raises:
        InvalidInputError: naming the file, the key, and what to do.
    """
    settings = read_toml(path, Settings)
    try:
        _check_address("runner.address", settings.runner.address)
        _check_address("learning.address", settings.learning.address)
        for number, address in enumerate(settings.learning.runners or (), 1):
            _check_address(f"learning.runners #{number}", address)
        check_limits(settings.limits)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from None
    return settings


def defaults_for(command: str, settings: Settings) -> dict[str, Any]:
    """Return the defaults of a command's options by their names; `command` is that of a service, or any other."""
    found: dict[str, Any] = {
        "data_dir": _expanded(settings.data_dir),
        "keys": _expanded(settings.keys),
        "host": settings.host,
        "insecure": settings.insecure,
        "cluster": settings.cluster,
        "durability": settings.durability,
        "log_level": settings.log_level,
        "log_format": settings.log_format,
        "runner": settings.runner.address,
        "learning": settings.learning.address,
        "learnings": [settings.learning.address] if settings.learning.address else UNSET,
    }
    if command == "runner":
        runner = settings.runner
        files = {
            name: _expanded(getattr(runner, name))
            for name in ("webui_auth_file", "sdnext_auth_file", "swarmui_token_file")
        }
        found |= asdict(runner) | files
    elif command == "learning":
        # the one named runner is followed, as with the environment variables
        followed = [settings.runner.address] if settings.runner.address else UNSET
        mine = settings.learning
        found |= asdict(mine) | {"runners": mine.runners or followed}
    elif command == "dashboard":
        page = settings.dashboard
        found |= asdict(page) | {"password_file": _expanded(page.password_file)}
    return {name: value for name, value in found.items() if value is not UNSET}


def _expanded(path: str | UnsetType) -> str | UnsetType:
    return UNSET if path is UNSET else str(Path(path).expanduser())


def _check_address(where: str, address: str | UnsetType) -> None:
    if address is not UNSET:
        try:
            parse_address(address)
        except AddressError as error:
            raise InvalidInputError(f"{where}: {error}") from None
