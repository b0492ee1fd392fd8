"""From an exported experiment to the HTML of its report. No socket, no file but the template."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from bus.console.top import size_text
from bus.contracts.archive import PictureRecord, ResultRecord
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.media import is_picture, kind_of
from bus.contracts.messages import ImageRef, RecommendationUpdated
from bus.contracts.values import is_same
from learning_service.experiments.blocks import block_word, settings_text
from learning_service.experiments.judgements import Picture, rated_once
from learning_service.recommendation.evidence import Score, metric_score, star_scores
from learning_service.recommendation.labels import labels
from variantbus.reports.cells import Axis, Place, arranged, condition_of, conditions_axis
from variantbus.reports.curve import curve_of
from variantbus.reports.export import Exported
from variantbus.reports.importance import choice_lines, importance_lines, levels_of
from variantbus.reports.planes import Plane, planes_of
from variantbus.reports.players import Player, Players, Read, data_uri
from variantbus.reports.plot import Line, Scale, lines_of, order_of, scale_of
from variantbus.reports.text import file_name, number_text, percent, value_text
from variantbus.reports.variables import variables_told

LABEL: Final = 80  # characters of a value; behind a longer one is all of it
PICTURES: Final = 2000  # in one file; more make it too large to be sent around
EMBEDDED: Final = 16_384  # bytes of a file that is in the report itself
TEXT_SHOWN: Final = 2000  # characters of it, if it is a text
Load = Callable[[ImageRef], bytes | None]


class Row(NamedTuple):
    """The results of one value."""

    value: str
    label: str  # the value, if it is short
    line: Line
    mean: str
    interval: str
    n: int
    best: str
    seconds: float | None
    done: str
    error: str
    is_chosen: bool


class File(NamedTuple):
    """A result that is no picture."""

    name: str
    about: str  # its size and its hash
    link: str  # a data: URI, "" where it is too large for one
    shown: str  # how it begins, if it is a text


class Cell(NamedTuple):
    """One result of the grid, or why there is none."""

    source: str = ""  # a data: URI, "" where there is no picture
    text: str = ""
    stars: int = 0
    note: str = ""
    file: File | None = None  # in the place of a picture
    player: Player | None = None  # as well


class Part(NamedTuple):
    """A table of results."""

    title: str  # what is the same in all of it, "" where there is but one
    across: Axis
    down: Axis
    cells: dict[Place, list[Cell]]


def report_html(exported: Exported, made: RecommendationUpdated, load: Load, read: Read) -> str:
    """Return the report; `load` returns a picture, `read` how another file begins, both None if it is gone."""
    seen = scores_of(exported, made.objective)
    numbers = [number for one in made.estimates for number in (one.mean, one.low, one.high) if number is not None]
    scale = scale_of([*numbers, *(score.score for score in seen)], made.objective)
    seconds = _seconds(exported.records.results)
    return _template().render(
        exported=exported,
        definition=exported.definition,
        told=[*variables_told(exported.definition), *blocks_told(exported.definition)],
        created=datetime.fromtimestamp(exported.created_at).astimezone().strftime("%Y-%m-%d %H:%M"),
        made=made,
        objective=_objective(made.objective),
        scale=scale,
        curve=curve_of(made, seen, scale),
        rows=rows_of(exported, made, scale, seen),
        levels=levels_of(made),
        importance=importance_lines(made),
        choices=choice_lines(made),
        slowest=max(seconds.values(), default=0.0),
        parts=parts_of(exported, load, read),
        what="Pictures" if all(is_picture(one.image) for one in exported.records.pictures) else "Results",
        left_out=max(0, len(exported.records.pictures) - PICTURES),
        jobs=len(exported.records.results),
        ratings=count_ratings(exported),
        comparisons=len(exported.records.comparisons),
    )


def rows_of(exported: Exported, made: RecommendationUpdated, scale: Scale, seen: list[Score]) -> list[Row]:
    """Return a row for each value, numbers by size, all else in the order of the plan."""
    seconds = _seconds(exported.records.results)
    lines = lines_of(made.estimates, seen, scale)
    rows = []
    names = labels([value_text(one.value) for one in made.estimates], LABEL)
    for index in order_of(made.estimates):
        one, line = made.estimates[index], lines[index]
        mine = [result for result in exported.records.results if result.variant_index == index]
        failed = [result for result in mine if result.state == "failed"]
        rows.append(
            Row(
                value=value_text(one.value),
                label=names[index],
                line=line,
                mean=number_text(one.mean),
                interval=f"{number_text(one.low)} … {number_text(one.high)}" if one.high is not None else "",
                n=one.n,
                best=percent(one.p_best),
                seconds=seconds.get(index),
                done=f"{sum(result.state == 'completed' for result in mine)}/{len(mine)}",
                error=(failed[-1].error or "failed") if failed else "",
                is_chosen=made.value is not None and is_same(made.value, one.value),
            )
        )
    return rows


def parts_of(exported: Exported, load: Load, read: Read) -> list[Part]:
    """Return the tables of results: of several variables one for each plane that has some; of most others, one."""
    names = [knob.name for knob in exported.definition.knobs]
    planes: list[Plane | None] = [*planes_of(names, exported.values)]
    players = Players(read)
    parts = [part_of(exported, load, read, players, plane) for plane in planes or [None]]
    return [part for part in parts if part.cells]


def part_of(exported: Exported, load: Load, read: Read, players: Players, plane: Plane | None) -> Part:
    """Return the columns and the rows of a plane, or of all values, and the results and failures by their place."""
    ratings = {rating.sha256: rating for rating in exported.records.ratings}
    shown = sorted(exported.records.pictures, key=lambda one: (one.repeat_index, one.variant_index))[:PICTURES]
    shown = [one for one in shown if plane is None or one.variant_index in plane.indices]
    ended = [
        result
        for result in exported.records.results
        if result.state != "completed" and (plane is None or result.variant_index in plane.indices)
    ]
    repeats = {one.repeat_index for one in shown} | {one.repeat_index for one in ended}
    conditions = {repeat: condition_of(exported, repeat) for repeat in repeats}
    keys = sorted(conditions.values())
    across, down, place = arranged(exported, conditions_axis(exported, keys), plane)
    places = {repeat: keys.index(one) for repeat, one in conditions.items()}
    cells: dict[Place, list[Cell]] = {}
    for picture in shown:
        key = place(picture.variant_index, places[picture.repeat_index])
        cell = _result_cell(picture.image, load, read, players)
        rating = ratings.get(picture.image.sha256)
        if rating:
            cell = cell._replace(stars=rating.stars, note=rating.note)
        cells.setdefault(key, []).append(cell)
    for result in ended:
        key = place(result.variant_index, places[result.repeat_index])
        cells.setdefault(key, []).append(Cell(text=result.error or result.state))
    return Part(plane.title if plane else "", _short(across), _short(down), cells)


def blocks_told(definition: ExperimentDefinition) -> list[tuple[str, str]]:
    """Return each block with a number, and its name and settings."""
    word = block_word(definition)
    texts = [settings_text(block.config, alone=word != "block") for block in definition.blocks]
    names = [block.name for block in definition.blocks]
    return [
        (f"{word} {number}", f"{name}: {text}" if name else text)
        for number, (name, text) in enumerate(zip(names, texts, strict=True), 1)
    ]


def _short(axis: Axis) -> Axis:
    """Return an axis with labels of one or two lines."""
    short = labels([one.text for one in axis.labels], LABEL)
    return Axis(axis.name, [one._replace(text=text) for one, text in zip(axis.labels, short, strict=True)])


def scores_of(exported: Exported, objective: str) -> list[Score]:
    """Return the numeric observations of each value."""
    if objective == "stars":
        stars = {rating.sha256: rating.stars for rating in exported.records.ratings}
        return star_scores(rated_once(map(_picture, exported.records.pictures), stars).values(), stars)
    name = objective.partition(" ")[2]
    found = ((one, metric_score(name, one.state, one.seconds, one.metrics)) for one in exported.records.results)
    return [
        Score(variant_index=one.variant_index, repeat_index=one.repeat_index, score=number)
        for one, number in found
        if number is not None
    ]


def count_ratings(exported: Exported) -> int:
    """Return the number of ratings; that of a picture counts for each variant that made it."""
    return len(
        rated_once(map(_picture, exported.records.pictures), {one.sha256: 1 for one in exported.records.ratings})
    )


def _picture(record: PictureRecord) -> Picture:
    return Picture(variant_index=record.variant_index, repeat_index=record.repeat_index, sha256=record.image.sha256)


def _result_cell(image: ImageRef, load: Load, read: Read, players: Players) -> Cell:
    kind = kind_of(image)
    if kind not in ("picture", "video", "sound"):
        return _file_cell(image, read)
    small = load(image)
    source = data_uri(small, media_type_of(small)) if small else ""
    if kind == "picture":
        text = f"seed {image.seed}, {image.sha256[:8]}" if small else "the picture is gone"
        return Cell(players.moving(image) or source, text)
    player = players.player(image, source)
    return Cell(text=player.text, player=player) if player else Cell(text=f"{file_name(image)} is gone")


def _file_cell(image: ImageRef, read: Read) -> Cell:
    name, found = file_name(image), read(image)
    if found is None:
        return Cell(text=f"{name} is gone")
    whole = found.data if found.size <= min(EMBEDDED, len(found.data)) else b""
    link = data_uri(whole, "application/octet-stream") if whole else ""
    return Cell(file=File(name, f"{size_text(found.size)}, {image.sha256[:8]}", link, beginning_text(found.data)))


def beginning_text(data: bytes) -> str:
    """Return how a text in UTF-8 begins, "" if it is none."""
    text = data[: 4 * TEXT_SHOWN].decode("utf-8", "replace")
    is_text = "\0" not in text and "\N{REPLACEMENT CHARACTER}" not in text[:-1]
    return text[:TEXT_SHOWN] + ("…" if len(data) > len(text[:TEXT_SHOWN].encode()) else "") if is_text else ""


def media_type_of(data: bytes) -> str:
    """Return the media type of a picture that a browser may show; anything else is `application/octet-stream`."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"\xff\xd8"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    return "image/webp" if data[8:12] == b"WEBP" else "application/octet-stream"


def _seconds(results: list[ResultRecord]) -> dict[int, float]:
    """Return the mean time of a completed job of each variant."""
    sums: dict[int, tuple[float, int]] = {}
    for one in results:
        if one.seconds is not None:
            total, count = sums.get(one.variant_index, (0.0, 0))
            sums[one.variant_index] = total + one.seconds, count + 1
    return {index: total / count for index, (total, count) in sums.items()}


def _objective(objective: str) -> str:
    return {"stars": "stars, 1 to 5", "preference": "share of comparisons won"}.get(objective, objective)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("variantbus.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")
