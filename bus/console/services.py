"""The services by name, and what is said to somebody who has asked the wrong one."""

from typing import Final

from bus.console.options import LEARNING_CONTROL, RUNNER_CONTROL
from bus.contracts.methods import METHODS
from bus.protocol.control import ControlError, InfoReply
from bus.transport.client import request
from bus.transport.keys import Keys

ASK_SECONDS: Final = 2.0  # of one that listens; at the other service nothing would ever come
NAMES: Final = {"runner": "a runner", "learning": "a learning service"}
HOMES: Final = {
    "runner": f"jobs and pipelines are at the runner, which is at {RUNNER_CONTROL} unless told otherwise: --runner",
    "learning": f"experiments are at the learning service, which is at {LEARNING_CONTROL} unless told otherwise: "
    "--learning",
}


def told(error: ControlError) -> str:
    """Return the sentence of a refusal; where the wrong service was asked, the one that says which is right."""
    homes = [home for one in METHODS if one.name == error.details.get("method") for home in one.services]
    asked = error.details.get("service")
    return error.message if asked is None or not homes or asked in homes else wrong_service(asked, homes[0])


def check_service(address: str, wanted: str, keys: Keys | None) -> None:
    """Check that an address is that of a service; one that does not answer now may come later.

    Raises:
        ControlError: the other service is there.
    """
    try:
        found = request(address, "info", {}, InfoReply, ASK_SECONDS, keys=keys).service
    except ControlError as error:
        if error.code == "unavailable":
            return
        raise
    if found in NAMES and found != wanted:
        raise ControlError("conflict", f"{address}: {wrong_service(found, wanted)}")


def wrong_service(found: str, wanted: str) -> str:
    """Return what to say where one service stands and another one is wanted."""
    return f"that is {NAMES.get(found, repr(found))}; {HOMES[wanted]}"
