"""Where a server is, and what lets us in; the password or the token is in a file, as others can read arguments."""

import base64
import logging
import re
import stat
from typing import Final
from urllib.parse import urlsplit

from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines import ServerAddress

_COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")  # as RFC 6265 allows
logger = logging.getLogger(__name__)


def check_url(url: str) -> str:
    """Return the address of a server without a slash at its end.

    Raises:
        InvalidInputError: it is no http:// or https:// URL, or holds a password.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidInputError(f"url: {url!r} is no address of a server; write http://HOST:PORT")
    if parts.username or parts.password:
        raise InvalidInputError("url: it holds a password, which others can read; put user:password into a file")
    return url.rstrip("/")


def authorization(address: ServerAddress) -> dict[str, str]:
    """Return the header of basic authentication."""
    text = _secret(address, "auth_file")
    if not text:
        return {}
    if ":" not in text:
        raise InvalidInputError(f"auth_file: {address.auth_file} must hold one line user:password")
    # not by urllib3, which takes Latin-1 and shows the character that has no place in it
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def cookie_of(address: ServerAddress, name: str) -> dict[str, str]:
    """Return the header with a cookie."""
    text = _secret(address, "token_file")
    if not _COOKIE_VALUE.fullmatch(text):
        raise InvalidInputError(f"token_file: {address.auth_file} must hold one line, the token and nothing else")
    return {"Cookie": f"{name}={text}"} if text else {}


def _secret(address: ServerAddress, key: str) -> str:
    """Return the one line of the file that is for its owner alone, "" without a file."""
    path = address.auth_file
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").strip()
        others = stat.S_IMODE(path.stat().st_mode) & 0o077
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{key}: {path} cannot be read ({type(error).__name__})") from None
    if not text or "\n" in text:
        line = "the token" if key == "token_file" else "user:password"
        raise InvalidInputError(f"{key}: {path} must hold one line {line}")
    if others:
        logger.warning("%s can be read by others; chmod 600 it", path)
    return text
