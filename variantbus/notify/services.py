"""The services that Apprise knows, each by its own form of address; importing it takes a quarter of a second."""

import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from apprise import NotifyBase

IS_INSTALLED: Final = find_spec("apprise") is not None


def is_known(url: str) -> bool:
    """Return whether Apprise knows a service by this address; never if it is not installed."""
    return _service(url) is not None


def tell(url: str, title: str, text: str) -> bool:
    """Return whether the service took a message, in several parts where it is too long for one."""
    from apprise import Apprise, NotifyFormat, OverflowMode  # noqa: PLC0415 - see above

    service = _service(url)
    if service is None:
        return False
    service.overflow_mode = OverflowMode.SPLIT
    # said to be a text, or a `<` in it would be taken for HTML, which Telegram refuses
    return bool(Apprise(services=[service]).notify(title=title, body=text, body_format=NotifyFormat.TEXT))


def _service(url: str) -> "NotifyBase | None":
    if not IS_INSTALLED:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it imports what newer versions of Python do not have
        from apprise import Apprise  # noqa: PLC0415 - see above

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its lines may show an address, which is a secret
        return Apprise.instantiate(url, suppress_exceptions=True)
