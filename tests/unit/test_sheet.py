"""The contact sheet: which picture is drawn into which cell, on how many pages, with which labels."""

from itertools import product

import pytest
from msgspec.structs import replace
from PIL import Image, ImageFont

from bus.contracts.archive import PictureRecord, Records
from bus.contracts.definition import Block, ExperimentDefinition, Variable
from bus.contracts.fields import VariantValue
from bus.contracts.messages import ImageRef
from tests.support.factories import definition
from variantbus.cli.sheet import remarks
from variantbus.reports import fonts as font_module
from variantbus.reports.cells import Grid, grids_of
from variantbus.reports.export import Exported
from variantbus.reports.fonts import OWN, Face, Fonts
from variantbus.reports.lettering import cut, lettering, wrapped
from variantbus.reports.sheet import EMPTY, MAX_PIXELS, MAX_SIDE, Sheet, SheetError

SCENE = "a photo of a very detailed scene with many things in it, " * 30


def record(name: str, index: int, repeat: int, *, seed: int | None = None, width: int = 8) -> PictureRecord:
    """Return a result of a job; without a width it is no picture."""
    made = ImageRef(sha256=name, path=name, width=width, height=width, seed=seed)
    return PictureRecord(job_id=f"exp-1.{index}.{repeat}.0", variant_index=index, repeat_index=repeat, image=made)


def experiment(
    values: list[VariantValue], *pictures: PictureRecord, of: ExperimentDefinition | None = None
) -> Exported:
    """Return an experiment with some pictures; without any, each value has one for each of two seeds."""
    every = [record(f"{at}.{repeat}", at, repeat) for at, repeat in product(range(len(values)), range(2))]
    return Exported(
        experiment_id="exp-1",
        created_at=1.0,
        definition=of or definition(),
        values=values,
        records=Records(pictures=list(pictures) or every),
    )


def of_two(first: str, second: str) -> ExperimentDefinition:
    """Return the definition of a grid of two variables."""
    return ExperimentDefinition(
        name="grid", seed=1, variables=tuple(Variable(name=name, values=[1]) for name in (first, second))
    )


def grid_of(exported: Exported) -> Grid:
    """Return the only grid of an experiment."""
    (grid,) = grids_of(exported)
    return grid


def placed(grid: Grid) -> dict[tuple[str, str], str]:
    """Return the picture of each pair of labels."""
    columns, rows = ([f"{one.text} {one.small}".strip() for one in axis.labels] for axis in (grid.across, grid.down))
    return {(columns[column], rows[row]): image.sha256 for (column, row), image in grid.cells.items()}


def drawn(exported: Exported, *, is_red: bool = True) -> list[Image.Image]:
    """Return the pages, with red pictures or none."""

    def load(image: ImageRef) -> Image.Image | None:
        return Image.new("RGB", (image.width, image.height), "#ff0000") if is_red else None

    return list(Sheet(exported).draw(load))


def test_values_go_across_and_seeds_down() -> None:
    """The legend says so; a picture that does not tell its seed has that of its job."""
    grid = grid_of(experiment([2.0, 4.0], record("a", 0, 0), record("b", 1, 0, seed=100), record("c", 1, 1)))

    assert placed(grid) == {("2.0", "100"): "a", ("4.0", "100"): "b", ("4.0", "101"): "c"}
    assert grid.legend == "cfg_scale across, seed down · 3 pictures · grey: no picture"


def test_many_values_go_down() -> None:
    """As a page scrolls that way; unless there are more seeds than values."""
    grid = grid_of(experiment([float(value) for value in range(13)]))

    assert (grid.across.name, grid.down.name) == ("seed", "cfg_scale")
    assert placed(grid)["101", "12.0"] == "12.1"


@pytest.mark.fault(item="F158")
@pytest.mark.parametrize(
    ("seeds", "rows", "legend"),
    [
        (1, ["10", "20", "30"], "cfg_scale across, steps down, seed 1 · 6 pictures"),
        (2, ["10 seed 1", "10 seed 2", "20 seed 1"], "cfg_scale across, steps down, 2 seeds each · 12 pictures"),
    ],
)
def test_of_two_variables_one_goes_across_and_one_down(seeds: int, rows: list[str], legend: str) -> None:
    """Each value of the second with its seeds, as in the dashboard."""
    values: list[VariantValue] = [{"cfg_scale": cfg, "steps": steps} for cfg in (1, 2) for steps in (10, 20, 30)]
    pictures = [record(f"{at}.{seed}", at, seed) for at in range(6) for seed in range(seeds)]
    grid = grid_of(experiment(values, *pictures, of=of_two("cfg_scale", "steps")))

    assert [one.text for one in grid.across.labels] == ["1", "2"]
    assert [f"{one.text} {one.small}".strip() for one in grid.down.labels][:3] == rows
    assert grid.legend == legend
    assert placed(grid)["2", rows[1]] == ("4.0" if seeds == 1 else "3.1")


def test_single_points_of_a_search_are_columns() -> None:
    """In a grid they would be alone in their rows."""
    values: list[VariantValue] = [{"a": at / 7, "b": at * at} for at in range(6)]
    grid = grid_of(experiment(values, of=of_two("a", "b")))

    assert (grid.across.name, grid.down.name) == ("a x b", "seed")
    assert grid.across.labels[2].text == f"a {2 / 7}, b 4"


def test_where_each_picture_has_a_seed_of_its_own_rows_are_repeats() -> None:
    """As of pictures that were adopted: a row for each seed would have one picture."""
    own = replace(definition(), paired=False)
    made = [record("a", 0, 0, seed=5), record("b", 1, 0, seed=9), record("c", 1, 1, seed=2)]

    grid = grid_of(experiment([2.0, 4.0], *made, of=own))

    assert (grid.down.name, [one.text for one in grid.down.labels]) == ("repeat", ["1", "2"])
    assert len(grid.cells) == 3


def test_where_the_seed_is_the_variable_rows_are_repeats() -> None:
    """Otherwise each picture would be alone in its row."""
    of = ExperimentDefinition(name="seeds", seed=0, variable=Variable(name="seed", values=[5, 9]))
    grid = grid_of(experiment([5, 9], record("a", 0, 0, seed=5), record("b", 1, 0, seed=9), of=of))

    assert placed(grid) == {("5", "1"): "a", ("9", "1"): "b"}
    assert grid.down.name == "repeat"


@pytest.mark.fault(item="F105")
def over_prompts(plan: ExperimentDefinition, *prompts: str, seeds: int = 2) -> ExperimentDefinition:
    """Return a definition with each of some prompts under each of some seeds."""
    return replace(plan, jobs_per_variant=seeds, blocks=tuple(Block(config={"prompt": prompt}) for prompt in prompts))


@pytest.mark.parametrize(
    ("seeds", "rows"),
    [
        (2, ["a star seed 100", "a star seed 101", "a heart seed 100", "a heart seed 101"]),
        (1, ["a star", "a heart"]),
    ],
)
def test_each_prompt_has_its_rows(seeds: int, rows: list[str]) -> None:
    """One for each seed, whatever seed a picture has; the prompt may begin with a letter that few fonts have."""
    plan = over_prompts(definition([1.0, 2.0]), "a star", "a heart", seeds=seeds)
    pictures = [record(f"{at}.{one}", at, one) for at, one in product(range(2), range(2 * seeds))]

    grid = grid_of(experiment([1.0, 2.0], *pictures, of=plan))

    assert [f"{one.text} {one.small}".strip() for one in grid.down.labels] == rows
    assert [one.begins for one in grid.down.labels] == ([False, False, True, False] if seeds == 2 else [False, True])
    assert (grid.down.name, grid.legend.split(" · ")[0]) == ("prompt", "cfg_scale across, prompt down")
    last = len(rows) - 1
    assert placed(grid)["2.0", rows[last]] == f"1.{2 * seeds - 1}"
    assert drawn(experiment([1.0, 2.0], *pictures, of=plan))


def test_prompts_of_many_values_are_columns() -> None:
    """With the seed in the same label."""
    values: list[VariantValue] = [float(number) for number in range(13)]
    plan = over_prompts(definition(), "a star", "a heart")

    grid = grid_of(experiment(values, *(record(f"{repeat}", 3, repeat) for repeat in range(4)), of=plan))

    assert [one.text for one in grid.across.labels][:2] == ["a star, seed 100", "a star, seed 101"]
    assert placed(grid)["a heart, seed 101", "3.0"] == "3"


def test_prompts_of_a_grid_are_below_the_values_of_the_second_variable() -> None:
    """And so they are where the seed itself is varied."""
    values: list[VariantValue] = [{"steps": one, "cfg_scale": other} for one in (4, 8) for other in (1, 2)]
    plan = over_prompts(of_two("steps", "cfg_scale"), "a star", "a heart", seeds=1)

    grid = grid_of(experiment(values, of=plan))

    assert [f"{one.text} | {one.small}" for one in grid.down.labels][:3] == ["1 | a star", "1 | a heart", "2 | a star"]
    assert grid.legend.startswith("steps across, cfg_scale down, 2 pictures each")
    seeds = over_prompts(definition([5, 6], name="seed"), "a star", "a heart", seeds=1)
    grid = grid_of(experiment([5, 6], of=seeds))
    assert [one.text for one in grid.down.labels] == ["a star", "a heart"]


def test_every_value_and_seed_has_its_picture() -> None:
    """However many there are: a status lists 1,500 of a value, the records have all of them."""
    grid = grid_of(experiment([2.0], *(record(f"p{repeat}", 0, repeat, seed=repeat) for repeat in range(1600))))

    assert [image.sha256 for image in grid.cells.values()] == [f"p{repeat}" for repeat in range(1600)]


def test_what_is_not_drawn_is_told() -> None:
    """Results that are no pictures, further pictures of the same value and seed, and those that are gone."""
    results = [record("a", 0, 0, width=0), record("b", 0, 0), record("c", 0, 0)]
    sheet = Sheet(experiment([2.0], *results))

    assert [image.sha256 for image in sheet.grids[0].cells.values()] == ["b"]
    assert remarks(sheet, 2) == [
        "2 pictures could not be read, empty cells stand for them; `variantbus verify` names the damaged ones",
        "1 more picture of the same value and seed is not drawn; the first of each is",
        "1 result is no picture, see `experiment show`",
    ]


def test_without_pictures_there_is_nothing_to_draw() -> None:
    """The sentence names the experiment."""
    with pytest.raises(SheetError, match="exp-1 has no pictures to draw; its results are shown by"):
        Sheet(experiment([2.0], record("a", 0, 0, width=0)))


def test_a_page_has_its_pictures_and_grey_cells_for_those_that_are_gone() -> None:
    """Small ones are enlarged, and few are drawn larger than many."""
    (page,) = drawn(experiment([2.0, 4.0]))
    (grey,) = drawn(experiment([2.0, 4.0]), is_red=False)

    assert count(page, (255, 0, 0)) == 4 * 320 * 320
    assert count(grey, (int(EMPTY[1:3], 16),) * 3) == pytest.approx(4 * 320 * 320, rel=0.001)  # and some in letters
    (many,) = drawn(experiment([float(at) for at in range(12)]))
    assert count(many, (255, 0, 0)) == 24 * 160 * 160


def count(page: Image.Image, colour: tuple[int, int, int]) -> int:
    """Return how many pixels have a colour."""
    return {found: pixels for pixels, found in page.getcolors(1 << 24) or []}.get(colour, 0)


@pytest.mark.fault(item="F158")
@pytest.mark.parametrize(
    ("columns", "rows", "pages"), [(50, 20, 1), (200, 3, 3), (3, 400, 5), (150, 150, 16), (1, 1, 1)]
)
def test_no_page_is_too_large_for_a_viewer(columns: int, rows: int, pages: int) -> None:
    """Nor for the memory; together the pages have every cell once."""
    values: list[VariantValue] = [{"a": one, "b": other} for one in range(columns) for other in range(rows)]
    pictures = [record("x", at, 0) for at in range(len(values))]
    laid = Sheet(experiment(values, *pictures, of=of_two("a", "b"))).pages

    assert len(laid) == pages
    assert max(max(page.size) for page in laid) <= MAX_SIDE
    assert max(page.size[0] * page.size[1] for page in laid) <= MAX_PIXELS
    cells = [cell for page in laid for cell in product(page.columns, page.rows)]
    assert sorted(cells) == sorted(product(range(columns), range(rows)))


@pytest.mark.fault(item="F157")
def test_long_values_have_labels_that_differ_and_fit() -> None:
    """Prompts with the same beginning, in Chinese without any space, and one long word."""
    texts = [SCENE + "a cat", SCENE + "a dog", "星" * 300 + "一", "星" * 300 + "二", "x" * 300, "x" * 301, "", "short"]
    fonts = Fonts(texts, lambda _: [])
    letters = lettering(texts, fonts, 160, 5)

    assert len({" ".join(lines) for lines in letters.lines}) == len(texts)
    assert all(len(lines) <= 5 for lines in letters.lines)
    assert all(fonts.length(line, letters.size) <= 160 for lines in letters.lines for line in lines)
    assert letters.lines[0][-1].endswith("a cat")


def test_text_is_wrapped_between_words() -> None:
    """And within those that are too long."""
    assert wrapped("one two three", 7, len) == ["one two", "three"]
    assert wrapped("abcdefghij k", 4, len) == ["abcd", "efgh", "ij k"]
    assert wrapped("", 4, len) == [""]
    assert cut("one two three", 8, len) == "one two…"
    assert cut("one\ntwo", 8, len) == "one two"


@pytest.mark.fault(item="F159")
def test_a_letter_that_pillows_font_lacks_comes_from_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as have all; a text is in one font if one has all of it."""
    covers = {OWN: set("ab "), Face("greek"): set("日月"), Face("both"): set("ab月ж"), Face("none"): set()}
    monkeypatch.setattr(font_module, "has", lambda face, char: char in covers[face])
    monkeypatch.setattr(font_module, "load", lambda face, _: named(face.file))
    asked: list[set[str]] = []

    def candidates(missing: set[str]) -> list[Face]:
        asked.append(missing)
        return [face for face in covers if face != OWN]

    fonts = Fonts(["ab", "a月 ж\u0301", "日月中"], candidates)

    assert asked == [set("日月ж中")]
    assert fonts.missing == {"中"}
    assert names(fonts, "ab") == [("ab", "")]
    assert names(fonts, "a月 ж") == [("a月 ж", "both")]
    assert names(fonts, "a日") == [("a", ""), ("日", "greek")]
    assert names(fonts, "日 中\u0301a") == [("日 中\u0301", "greek"), ("a", "")]


def named(file: str) -> ImageFont.FreeTypeFont:
    """Return a font that tells its file."""
    font = ImageFont.load_default(12)
    assert isinstance(font, ImageFont.FreeTypeFont)
    font.path = file
    return font


def names(fonts: Fonts, text: str) -> list[tuple[str, object]]:
    """Return the parts of a text with the files of their fonts."""
    return [(part, font.path) for part, font in fonts.runs(text, 12)]


@pytest.mark.fault(item="F159")
def test_letters_that_no_font_has_are_told() -> None:
    """A sentence names them, since boxes say nothing."""
    sheet = Sheet(experiment([2.0], record("a", 0, 0)))
    sheet.fonts.missing = {"中", "文"}

    assert remarks(sheet, 0) == ["no font of this machine has 中文; install one, such as fonts-noto-cjk for Chinese"]
