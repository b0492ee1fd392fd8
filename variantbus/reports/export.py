"""An exported experiment as a JSON document or a CSV table, and back. No socket, no file."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from bus.contracts.archive import PictureRecord, RatingRecord, Records, ResultRecord
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import INT64_MAX, SEED_MAX, NewId, Scalar, VariantValue
from bus.contracts.messages import ImageRef, RecommendationUpdated
from bus.protocol.doors import take
from bus.protocol.validation import DECODE_ERRORS, WORD_LIMIT, InvalidInputError, unreadable
from learning_service.experiments.blocks import block_names, block_of, seed_of
from learning_service.experiments.plan import PlannedJob, job_id
from learning_service.experiments.settings import parts_of

CELL_LIMIT: Final = 1 << 24  # characters of a cell that is read: a definition alone may have some 100,000
FORMULA: Final = tuple("=+-@\t\r'")  # a spreadsheet would evaluate such texts; OWASP, "CSV Injection"
METRIC: Final = "metric."
VARIABLE: Final = "variable."  # before the name of a variable that another column has
BLOCK: Final = "block"  # the name of a job's block; only a table of an experiment that has some has this column
FILE: Final = "file"  # the name of a result; tables of earlier versions have no such column
MOVING: Final = {"duration": "media.duration", "frames": "media.frames"}  # only where a result has one of them
REMARKS: Final = {"warnings": "job.warnings", "reused_from": "job.reused_from"}  # only where a job has one of them
COLUMNS: Final = (
    "experiment_id", "name", "variant_index", "repeat_index", "seed", "job_id", "state", "seconds", "finished_at",
    "error", "stars", "note", "rated_at", "sha256", "path", "width", "height", "media_type", FILE, "created_at",
    "definition",
)  # fmt: skip


class Exported(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All records of an experiment; `values` are those of its variants, by their indices."""

    format: Literal["variantbus experiment"] = "variantbus experiment"
    version: Literal[1] = 1
    experiment_id: NewId
    created_at: float
    definition: ExperimentDefinition
    values: Annotated[list[VariantValue], Meta(min_length=1)]
    records: Records
    recommendation: RecommendationUpdated | None = None


def to_json(exported: Exported) -> str:
    """Return the document that `from_json` reads."""
    return msgspec.json.format(msgspec.json.encode(exported), indent=2).decode() + "\n"


def from_json(text: str) -> Exported:
    """Read a document.

    Raises:
        InvalidInputError: it is none, or of another version.
    """
    try:
        return take(msgspec.json.decode(text), Exported)
    except DECODE_ERRORS as error:
        raise InvalidInputError(unreadable(error)) from None


def to_csv(exported: Exported) -> str:
    """Write a table with a row for each picture, and for each job without one; comparisons are not in it.

    After the columns of every experiment come its variables and its metrics; the first row has the definition.
    """
    names = [knob.name for knob in exported.definition.knobs]
    metrics = sorted({name for one in exported.records.results for name in one.metrics})
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    images = [one.image for one in exported.records.pictures]
    blocks = [BLOCK] if exported.definition.blocks else []
    columns = [
        *COLUMNS,
        *blocks,
        *(column for name, column in MOVING.items() if any(_is_told(one, name) for one in images)),
        *(column for name, column in REMARKS.items() if any(_is_told(one, name) for one in exported.records.results)),
        *(_column(exported.definition, name) for name in names),
        *(METRIC + name for name in metrics),
    ]
    writer.writerow(map(_escaped, columns))
    for place, row in enumerate(_rows(exported)):
        if place == 0:
            row |= {"created_at": exported.created_at, "definition": _json(exported.definition)}
        writer.writerow(_cell(row.get(column)) for column in columns)
    return out.getvalue()


def from_csv(text: str) -> Exported:
    """Read a table that `to_csv` has written.

    Raises:
        InvalidInputError: it is none, naming the line.
    """
    csv.field_size_limit(CELL_LIMIT)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    columns = set(map(_unescaped, reader.fieldnames or ()))
    _check_columns({*COLUMNS} - {FILE}, columns)
    try:
        rows = [{_unescaped(name): _unescaped(cell) for name, cell in row.items() if cell} for row in reader]
    except csv.Error as error:
        raise InvalidInputError(f"line {reader.line_num}: {error}") from None
    except AttributeError:
        raise InvalidInputError(f"line {reader.line_num}: more cells than columns; export it again") from None
    definition, experiment_id, created_at = _first_of(rows)
    names = [knob.name for knob in definition.knobs]
    _check_columns({_column(definition, name) for name in names}, columns)
    values: dict[int, VariantValue] = {}
    results: dict[str, ResultRecord] = {}
    pictures: list[PictureRecord] = []
    ratings: dict[str, RatingRecord] = {}
    for line, row in enumerate(rows, 2):
        try:
            index = _whole(row, "variant_index")
            parts = {name: _scalar(row, _column(definition, name)) for name in names}
            values[index] = parts if len(names) > 1 else parts[names[0]]
            if "job_id" in row:
                results.setdefault(row["job_id"], _result(row, index))
            if "sha256" in row:
                pictures.append(_picture(row, index))
            if "stars" in row:
                sha256 = _text(row, "sha256")
                ratings[sha256] = RatingRecord(
                    sha256=sha256,
                    stars=_whole(row, "stars"),
                    note=row.get("note", ""),
                    rated_at=_number(row, "rated_at"),
                )
        except InvalidInputError as error:
            raise InvalidInputError(f"line {line}: {error}; export it again") from None
    if sorted(values) != list(range(len(values))):
        raise InvalidInputError("variant_index: some are missing; export it again")
    return Exported(
        experiment_id=experiment_id,
        created_at=created_at,
        definition=definition,
        values=[values[index] for index in sorted(values)],
        records=Records(results=list(results.values()), pictures=pictures, ratings=list(ratings.values())),
    )


def _column(definition: ExperimentDefinition, name: str) -> str:
    """Return the column of a variable."""
    is_taken = name in COLUMNS or (name == BLOCK and definition.blocks)
    return VARIABLE + name if is_taken or name.startswith((METRIC, VARIABLE)) else name


def _check_columns(needed: set[str], columns: set[str]) -> None:
    if missing := sorted(needed - columns):
        raise InvalidInputError(f"line 1: no column {missing[0]!r}; export it again")


def _first_of(rows: list[dict[str, str]]) -> tuple[ExperimentDefinition, str, float]:
    """Return what only the first row has: the definition, the id and the time of the experiment."""
    try:
        first = rows[0]
        definition = take(json.loads(first["definition"]), ExperimentDefinition)
        return definition, first["experiment_id"], _number(first, "created_at") if "created_at" in first else 0.0
    except InvalidInputError:
        raise
    except (LookupError, ValueError, RecursionError):
        raise InvalidInputError("line 2: no definition; export it again") from None


def under(exported: Exported, experiment_id: str) -> Exported:
    """Return the export under another id, its jobs with the ids that the learning service would have given."""
    rounds: dict[tuple[int, int], int] = {}
    names: dict[str, str] = {}
    for one in sorted(exported.records.results, key=lambda one: one.finished_at):
        key = one.variant_index, one.repeat_index
        rounds[key] = rounds.get(key, -1) + 1
        names[one.job_id] = job_id(experiment_id, PlannedJob(*key, rounds[key]))
    results = [
        replace(one, job_id=names[one.job_id], reused_from=names.get(one.reused_from or "", one.reused_from))
        for one in exported.records.results
    ]
    pictures = [replace(one, job_id=names[one.job_id]) for one in exported.records.pictures if one.job_id in names]
    records = replace(exported.records, results=results, pictures=pictures)
    return replace(exported, experiment_id=experiment_id, records=records)


def _rows(exported: Exported) -> Iterable[dict[str, object]]:
    by_job: dict[str, list[ImageRef]] = {}
    for picture in exported.records.pictures:
        by_job.setdefault(picture.job_id, []).append(picture.image)
    stars = {rating.sha256: rating for rating in exported.records.ratings}
    names = block_names(exported.definition)
    seen = set()
    for one in exported.records.results:
        seen.add(one.variant_index)
        head = _head(exported, one.variant_index) | {
            "repeat_index": one.repeat_index,
            "seed": seed_of(exported.definition, one.repeat_index),
            BLOCK: names[block_of(exported.definition, one.repeat_index)] if names else None,
            "job_id": one.job_id,
            "state": one.state,
            "seconds": one.seconds,
            "finished_at": one.finished_at,
            "error": one.error,
            **{METRIC + name: number for name, number in one.metrics.items()},
            REMARKS["warnings"]: _json(one.warnings) if one.warnings else None,
            REMARKS["reused_from"]: one.reused_from or None,
        }
        images = by_job.get(one.job_id, [])
        yield from (head | _image_cells(image, stars.get(image.sha256)) for image in images)
        if not images:
            yield head
    for index in range(len(exported.values)):
        if index not in seen:
            yield _head(exported, index)


def _head(exported: Exported, index: int) -> dict[str, object]:
    parts = parts_of(exported.definition, exported.values[index])
    return {
        "experiment_id": exported.experiment_id,
        "name": exported.definition.name,
        "variant_index": index,
        **{_column(exported.definition, name): _told(part) for name, part in parts.items()},
    }


def _image_cells(image: ImageRef, rating: RatingRecord | None) -> dict[str, object]:
    cells: dict[str, object] = {
        "seed": image.seed,
        "sha256": image.sha256,
        "path": image.path,
        "width": image.width,
        "height": image.height,
        "media_type": image.media_type,
        FILE: None if image.name is UNSET else image.name,
        **{column: getattr(image, name) for name, column in MOVING.items() if _is_told(image, name)},
    }
    if rating:
        cells |= {"stars": rating.stars, "note": rating.note, "rated_at": rating.rated_at}
    return cells


def _is_told(record: ImageRef | ResultRecord, name: str) -> bool:
    return getattr(record, name) is not UNSET


def _result(row: Mapping[str, str], index: int) -> ResultRecord:
    return take(
        {
            "job_id": row["job_id"],
            "variant_index": index,
            "repeat_index": _whole(row, "repeat_index"),
            "state": _text(row, "state"),
            "finished_at": _number(row, "finished_at"),
            "seconds": _number(row, "seconds") if "seconds" in row else None,
            "metrics": {name[len(METRIC) :]: _number(row, name) for name in row if name.startswith(METRIC)},
            "error": row.get("error"),
            **_remarks(row),
        },
        ResultRecord,
    )


def _remarks(row: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: row[column] for name, column in REMARKS.items() if column in row}
    if "warnings" in found:
        try:
            found["warnings"] = json.loads(found["warnings"])
        except (ValueError, RecursionError):
            raise InvalidInputError(f"{REMARKS['warnings']}: must be a list in JSON") from None
    return found


def _picture(row: Mapping[str, str], index: int) -> PictureRecord:
    image = ImageRef(
        sha256=row["sha256"],
        path=row.get("path", ""),
        width=_whole(row, "width"),
        height=_whole(row, "height"),
        seed=_whole(row, "seed") if "seed" in row else None,
        media_type=_text(row, "media_type"),
        name=row.get(FILE, UNSET),
        duration=_number(row, MOVING["duration"]) if MOVING["duration"] in row else UNSET,
        frames=_whole(row, MOVING["frames"]) if MOVING["frames"] in row else UNSET,
    )
    repeat_index = _whole(row, "repeat_index")
    return PictureRecord(job_id=_text(row, "job_id"), variant_index=index, repeat_index=repeat_index, image=image)


def _text(row: Mapping[str, str], name: str) -> str:
    if name not in row:
        raise InvalidInputError(f"{name}: missing")
    return row[name]


def _whole(row: Mapping[str, str], name: str) -> int:
    cell = _text(row, name)
    if not re.fullmatch(r"-?[0-9]{1,20}", cell) or not _fits(int(cell)):
        raise InvalidInputError(f"{name}: must be a whole number of 64 bits, not {cell[:WORD_LIMIT]!r}")
    return int(cell)


def _number(row: Mapping[str, str], name: str) -> float:
    cell = _text(row, name)
    with suppress(ValueError):
        if _fits(number := float(cell)):
            return number
    raise InvalidInputError(f"{name}: must be a number, not {cell[:WORD_LIMIT]!r}")


def _scalar(row: Mapping[str, str], name: str) -> Scalar:
    value = _value(row.get(name, ""))
    if not isinstance(value, str) and not _fits(value):
        raise InvalidInputError(f"{name}: a number has 64 bits at most, and is finite")
    return value


def _fits(number: float) -> bool:
    """Return whether a message can hold a number."""
    return -INT64_MAX - 1 <= number <= SEED_MAX if isinstance(number, int) else math.isfinite(number)


def _told(value: Scalar) -> object:
    """Return a value as text that `_value` reads: a text that looks like another type is quoted."""
    if isinstance(value, bool):
        return json.dumps(value)
    return json.dumps(value) if isinstance(value, str) and _value(value) != value else value


def _value(text: str) -> Scalar:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _cell(value: object) -> str:
    if value is None:
        return ""
    return _escaped(value) if isinstance(value, str) else repr(value)


def _escaped(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def _unescaped(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
