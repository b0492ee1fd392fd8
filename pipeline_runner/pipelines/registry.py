"""Which pipelines are installed: entry points of the group `variantbus.pipelines`."""

import importlib.metadata
import logging
from typing import Annotated, Final

import msgspec

from bus.contracts.pipeline_specs import StageSpec
from bus.contracts.servers import ServerView
from bus.protocol.validation import convert
from pipeline_runner.pipelines.base import Pipeline, Setup

GROUP: Final = "variantbus.pipelines"
logger = logging.getLogger(__name__)


def load_pipelines(setup: Setup) -> dict[str, Pipeline]:
    """Create every installed pipeline; one that cannot be loaded is logged and left out."""
    pipelines: dict[str, Pipeline] = {}
    for entry in importlib.metadata.entry_points(group=GROUP):
        try:
            pipeline = entry.load()(setup)
            convert({name: getattr(pipeline, name) for name in _Numbers.__struct_fields__}, _Numbers)
        except Exception:
            logger.exception("pipeline %s cannot be loaded", entry.name)
        else:
            if stages_of(entry.name, pipeline) is not None:
                pipelines[entry.name] = pipeline
    return pipelines


def stages_of(name: str, pipeline: Pipeline) -> dict[str, StageSpec] | None:
    """Return what a pipeline takes, in a form that can be sent; None, with a log message, if it is invalid."""
    try:
        stages = convert(msgspec.to_builtins(dict(pipeline.stages())), dict[str, StageSpec])
        msgspec.msgpack.encode(stages)
    except Exception:
        logger.exception("pipeline %s cannot say what it takes", name)
        return None
    return stages


def server_of(name: str, pipeline: Pipeline) -> ServerView | None:
    """Return what is known of the server of a pipeline, None where that is nothing, or cannot be sent."""
    try:
        seen = pipeline.seen()
        return None if seen is None else convert(msgspec.to_builtins(seen), ServerView)
    except Exception:
        logger.exception("pipeline %s cannot tell of its server", name)
        return None


class _Numbers(msgspec.Struct):
    """The numbers among the attributes of a pipeline."""

    concurrency: Annotated[int, msgspec.Meta(ge=1)] | None
    refresh_seconds: Annotated[float, msgspec.Meta(gt=0)] | None
