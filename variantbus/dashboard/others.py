"""What a person without an account sees of an experiment: its pictures, values, settings and answer.

Left out is what tells of machines and of other people: paths, addresses, commands, texts of errors, warnings, notes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Told = dict[str, Any]
FAILED: Final = "this job failed"
ADDRESS: Final = "(address)"
HIDDEN: Final = frozenset(
    {"command", "workflow", "images", "files", "env", "folder", "origin", "score", "damage", "note"}
)
DEFINITION: Final = frozenset(
    {
        "name", "variable", "variables", "skip", "sample", "pipeline", "stage", "jobs_per_variant", "seed", "seeds",
        "paired", "config", "blocks", "objective", "goal", "within", "mode", "budget", "stop_p_best",
    }
)  # fmt: skip
RESULT: Final = frozenset({"success", "cancelled", "images", "metrics", "seconds", "untimed"})
# each run of letters is looked at once: texts of half a million come with every status, on the loop of all pages
_URL: Final = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z0-9+.-]*+://\S+")
_HOST: Final = re.compile(r"\b(?:\d{1,3}(?:\.\d{1,3}){3}|(?i:localhost))(?::\d+)?\b")
_PATH: Final = re.compile(r"(?:(?<=[\s\"'=(\[,:])|^)(?:~?/|[A-Za-z]:[\\/]|\\\\)[^\s\"')\],]+")
_WHOLE: Final = re.compile(r"(?:~?/|[A-Za-z]:[\\/]|\\\\)[^\n]*[\\/]?")
_WORDS: Final = ("error", "warning", "images")  # of a variant, which are shown in other forms or not at all
_SLASH: Final = re.compile(r"[\\/]")


def text_for_others(text: str) -> str:
    """Return a text with names of files in the place of paths, and without addresses."""
    shown = _HOST.sub(ADDRESS, _URL.sub(ADDRESS, text) if "://" in text else text)
    if "/" not in shown and "\\" not in shown:
        return shown  # the most
    return _PATH.sub(lambda found: _last(found[0]), shown)


def value_for_others(value: Any, name: str = "") -> Any:
    """Return a value of any form, with its texts as others may read them; `name` is what it is called."""
    if isinstance(value, str):
        if _WHOLE.fullmatch(value) and not name.endswith("prompt"):
            return _last(value)  # a path may have spaces in it
        return text_for_others(value)
    if isinstance(value, Mapping):
        kept = {key: one for key, one in value.items() if key not in HIDDEN}
        return {text_for_others(str(key)): value_for_others(one, str(key)) for key, one in kept.items()}
    if isinstance(value, list | tuple):
        return [value_for_others(one, name) for one in value]
    return value


def status_for_others(status: Told) -> Told:
    """Return the status of an experiment, which may have its variants and its recommendation with it."""
    definition = {key: value for key, value in status["definition"].items() if key in DEFINITION}
    shown: Told = value_for_others({**status, "definition": definition})
    if "variants" in status:
        shown["variants"] = [variant_for_others(one) for one in status["variants"]]
    return shown


def variant_for_others(variant: Told) -> Told:
    """Return the status of a variant."""
    shown: Told = value_for_others({key: value for key, value in variant.items() if key not in _WORDS})
    return {**shown, "images": _images(variant.get("images")), "error": FAILED if variant.get("error") else None}


def snapshot_for_others(snapshot: Told) -> Told:
    """Return what a page loads of an experiment; comparisons are of people, and nothing to see."""
    return {
        "experiment": status_for_others(snapshot["experiment"]),
        "cells": [_cell(one) for one in snapshot["cells"]],
        "ratings": [value_for_others(one) for one in snapshot["ratings"]],
        "comparisons": [],
    }


def event_for_others(body: Any) -> Told | None:
    """Return an event of an experiment, None if it is nothing for others, or not of the form that is known here."""
    show = _EVENTS.get(str(body.get("type"))) if isinstance(body, dict) else None
    try:
        return show(body) if show else None
    except (
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
    ):  # of another version; the pages of all others must go on
        return None


def _cell(cell: Told) -> Told:
    hidden = ("error", "warnings", "images")
    shown: Told = value_for_others({key: value for key, value in cell.items() if key not in hidden})
    if images := _images(cell.get("images")):
        shown["images"] = images
    return {**shown, "error": FAILED} if cell.get("error") else shown


def _images(images: Any) -> list[Told]:
    found = images if isinstance(images, list | tuple) else []
    return [
        {key: value_for_others(value) for key, value in one.items() if key != "path"}
        for one in found
        if isinstance(one, dict)
    ]


def _job(body: Told) -> Told:
    kept = ("type", "job_id", "learning_context", "fraction", "preview", "metrics")
    shown: Told = value_for_others({key: body[key] for key in kept if key in body})
    return shown


def _completed(body: Told) -> Told:
    result = body["result"]
    kept = {key: value for key, value in result.items() if key in RESULT - {"images"}}
    told: Told = value_for_others(kept)
    told |= {
        "images": _images(result.get("images")),
        "reused_from": bool(result.get("reused_from")),
        "warnings": [],
    }
    if result.get("error"):
        told["error"] = {"kind": result["error"].get("kind"), "message": FAILED}
    return {**_job(body), "started_at": body.get("started_at"), "finished_at": body.get("finished_at"), "result": told}


def _last(path: str) -> str:
    """Return the name of a file; of a path that ends with a slash its last folder."""
    return _SLASH.split(path.rstrip("\\/"))[-1]


_EVENTS: Final[Mapping[str, Callable[[Told], Told]]] = {
    "experiment.status": status_for_others,
    "experiment.deleted": lambda body: {key: body[key] for key in ("type", "experiment_id")},
    "variant.status": variant_for_others,
    "recommendation.updated": value_for_others,
    "image.rated": value_for_others,
    "job.queued": _job,
    "job.started": _job,
    "job.progress": _job,
    "job.scored": _job,
    "job.completed": _completed,
}
