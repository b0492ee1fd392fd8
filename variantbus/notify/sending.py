"""Sends a message to one address: JSON to a webhook of your own, to all other services through Apprise."""

from contextlib import closing
from functools import partial
from typing import Final

import msgspec
import urllib3

from bus.transport.steps import in_thread
from variantbus.notify.news import Message
from variantbus.notify.services import is_known, tell

SECONDS: Final = 10.0  # to connect, and for each part of an answer
LONGEST_SECONDS: Final = 30.0  # for one message
NOT_TAKEN: Final = 300  # and above; no redirect is followed, as what is behind it may get a GET without the message


def send(url: str, message: Message) -> str:
    """Send a message; return why it did not arrive, "" if it did. The address itself is in no answer.

    Who answers byte by byte has no end by the time limits of libraries, and must not hold up the others.
    """
    try:
        return in_thread(partial(_sent, url, message), "send").result(LONGEST_SECONDS)
    except TimeoutError:
        return f"no whole answer within {LONGEST_SECONDS:g} s"


def _sent(url: str, message: Message) -> str:
    if is_known(url):
        return "" if tell(url, message.title, message.text) else "the service did not take it"
    try:
        answer = urllib3.request(
            "POST",
            url,
            body=msgspec.json.encode(message.data),
            headers={"Content-Type": "application/json"},
            timeout=SECONDS,
            retries=False,
            preload_content=False,  # what it says besides its status is nothing to wait for, and may have no end
        )
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        return f"{type(error).__name__}: it cannot be reached"
    with closing(answer):
        return f"it answered with status {answer.status}" if answer.status >= NOT_TAKEN else ""
