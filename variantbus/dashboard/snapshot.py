"""What a page loads of an experiment, once: what it shows, and each picture in one place."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from bus.contracts.archive import ComparisonRecord, PictureRecord, RatingRecord, ResultRecord
from bus.contracts.messages import ImageRef

_PLACE: Final = ("job_id", "variant_index", "repeat_index", "state", "finished_at")


def snapshot_of(
    view: dict[str, Any],
    results: Iterable[ResultRecord],
    pictures: Iterable[PictureRecord],
    ratings: list[RatingRecord],
    comparisons: list[ComparisonRecord],
) -> dict[str, Any]:
    """Return `experiment`, as it is shown but without the pictures of its variants; `cells`; `ratings`, `comparisons`.

    A cell is a job that has ended, with what came of it; what is empty is left out.
    """
    images: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        images.setdefault(picture.job_id, []).append(_image(picture.image))
    variants = [{name: value for name, value in one.items() if name != "images"} for one in view["variants"]]
    return {
        "experiment": {**view, "variants": variants},
        "cells": [_cell(one, images.get(one.job_id, [])) for one in results],
        "ratings": ratings,
        "comparisons": comparisons,
    }


def _cell(one: ResultRecord, images: list[dict[str, Any]]) -> dict[str, Any]:
    told = {
        "seconds": one.seconds,
        "metrics": one.metrics,
        "error": one.error,
        "images": images,
        "warnings": one.warnings,
        "reused": bool(one.reused_from),
    }
    return {name: getattr(one, name) for name in _PLACE} | {name: value for name, value in told.items() if value}


def _image(image: ImageRef) -> dict[str, Any]:
    """Return what is told of a picture; where the runner keeps it is nothing for a browser."""
    told: dict[str, Any] = msgspec.to_builtins(image)
    del told["path"]
    return told
