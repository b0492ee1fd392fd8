"""What a server is helped with when its graphics card runs out of memory: its models are unloaded, once a job."""

from collections.abc import Callable
from typing import Final, TypeVar

from pipeline_runner.pipelines.http_client import ServerFault

T = TypeVar("T")
SMALLER: Final = "take a smaller width and height or a smaller model, or end what else uses the graphics card"


def with_memory(work: Callable[[int], T], free: Callable[[], object]) -> T:
    """Return what comes of some work, which is done again with the memory freed if it ran out; it gets its number.

    Raises:
        ServerFault: memory ran out once more, with what a person can do; or anything else went wrong.
    """
    try:
        return work(1)
    except ServerFault as fault:
        if fault.kind != "oom":
            raise
    free()
    try:
        return work(2)
    except ServerFault as fault:
        if fault.kind != "oom":
            raise
        raise ServerFault("oom", f"{fault.message}; {SMALLER}") from None
