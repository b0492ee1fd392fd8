"""Who is told of which experiment: addresses of the config file for all, and those of an experiment's own file.

The addresses hold secrets, such as the token of a bot. So they never travel: a command that starts an experiment leaves
them in the data folder, where the notifier of this machine finds them.
"""

import hashlib
import logging
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from bus.config.settings import NotifySettings
from bus.console.extras import missing_text
from bus.console.writing import written
from bus.protocol.validation import DECODE_ERRORS, InvalidInputError
from variantbus.notify.services import IS_INSTALLED, is_known

FOLDER: Final = "notify"
LOCK: Final = "notify.lock"
WEBHOOKS: Final = frozenset({"http", "https"})
PRIVATE: Final = 0o600  # the mode of a file with secrets
logger = logging.getLogger(__name__)


class Target(NamedTuple):
    """An address, and of what it is told."""

    url: str
    on: frozenset[str]


def check_targets(settings: NotifySettings) -> None:
    """Refuse an address that nothing can be sent to; the sentence does not show it, as it is a secret.

    Raises:
        InvalidInputError: naming it by its place.
    """
    for number, url in enumerate(settings.urls, 1):
        where = f"notify.urls #{number}"
        try:
            parts = urlsplit(url)
        except ValueError:
            raise InvalidInputError(f"{where}: is no URL; check its brackets") from None
        if not parts.scheme or not parts.netloc:
            raise InvalidInputError(f"{where}: is no URL; write one such as https://… or ntfy://…")
        if parts.scheme in WEBHOOKS:
            continue
        if not IS_INSTALLED:
            raise InvalidInputError(f"{where}: {parts.scheme}:// {missing_text('notify', 'apprise')}")
        if not is_known(url):
            raise InvalidInputError(f"{where}: {parts.scheme}:// with these parts is no service that Apprise knows")


def keep(data_dir: Path, settings: NotifySettings, experiment_id: str) -> None:
    """Keep who is told of an experiment, for the notifier of the data folder.

    Raises:
        InvalidInputError: the folder cannot be written.
    """
    folder = data_dir / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidInputError(f"{folder}: cannot be made ({error.strerror})") from None
    path = folder / f"{experiment_id}.json"
    path.touch(PRIVATE)
    with written(path) as file:
        file.write(msgspec.json.encode(settings))


def kept(data_dir: Path, experiment_id: str) -> NotifySettings | None:
    """Return who is told of an experiment besides those of the config file.

    Raises:
        InvalidInputError: the file of the experiment is damaged.
    """
    path = data_dir / FOLDER / f"{experiment_id}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=NotifySettings)
    except FileNotFoundError:
        return None
    except (OSError, *DECODE_ERRORS) as error:
        raise InvalidInputError(f"{path}: cannot be read ({error}); remove it") from None


def targets(data_dir: Path, experiment_id: str, for_all: NotifySettings | None) -> dict[str, Target]:
    """Return the addresses for an experiment, by a key that is no secret; a damaged file of its own has none."""
    try:
        own = kept(data_dir, experiment_id)
    except InvalidInputError as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence suffices
        own = None
    given = [settings for settings in (for_all, own) if settings]
    return {key_of(url): Target(url, frozenset(settings.on)) for settings in given for url in settings.urls}


def forget(data_dir: Path, experiment_id: str) -> None:
    """Remove the addresses of an experiment that was deleted."""
    (data_dir / FOLDER / f"{experiment_id}.json").unlink(missing_ok=True)


def key_of(url: str) -> str:
    """Return what stands for an address where a secret must not be."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def shown(url: str) -> str:
    """Return of an address what a log may have: of which service it is."""
    return f"{urlsplit(url).scheme}://…"
