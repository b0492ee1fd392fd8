"""Experiments over several variables, two of which are shown at a time."""

from itertools import product

import pytest

from bus.contracts.archive import PictureRecord, Records
from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import VariantValue
from bus.contracts.messages import ImageRef
from bus.protocol.validation import InvalidInputError
from variantbus.reports.cells import grids_of
from variantbus.reports.export import Exported
from variantbus.reports.planes import Chosen, planes_of
from variantbus.reports.sheet import Sheet

NAMES = ["cfg", "steps", "sampler"]
VALUES: list[VariantValue] = [
    {"cfg": cfg, "steps": steps, "sampler": sampler}
    for cfg, steps, sampler in product((1, 2.5), (10, 20), ("euler", "3"))
]


def experiment(values: list[VariantValue] = VALUES) -> Exported:
    """Return an experiment over three variables with a picture of each value."""
    pictures = [
        PictureRecord(
            job_id=f"exp-1.{index}.0.0",
            variant_index=index,
            repeat_index=0,
            image=ImageRef(sha256=str(index), path="", width=8, height=8, seed=1),
        )
        for index in range(len(values))
    ]
    plan = ExperimentDefinition(name="x", seed=1, variables=tuple(Variable(name=name, values=[1]) for name in NAMES))
    return Exported(
        experiment_id="exp-1", created_at=1.0, definition=plan, values=values, records=Records(pictures=pictures)
    )


def test_there_is_a_plane_for_each_combination_of_the_others() -> None:
    """In the order of the plan; a text that looks like a number is in quotes."""
    planes = planes_of(NAMES, VALUES)

    assert [(one.across, one.down, one.title, sorted(one.indices)) for one in planes] == [
        ("cfg", "steps", "sampler euler", [0, 2, 4, 6]),
        ("cfg", "steps", 'sampler "3"', [1, 3, 5, 7]),
    ]


def test_a_person_chooses_what_is_shown() -> None:
    """Both variables, one of them, and values of the others as they are written."""
    both = planes_of(NAMES, VALUES, Chosen("sampler", "cfg"))
    assert [(one.across, one.down, one.title) for one in both] == [
        ("sampler", "cfg", "steps 10"),
        ("sampler", "cfg", "steps 20"),
    ]
    (down,) = planes_of(NAMES, VALUES, Chosen(down="cfg", fixed={"sampler": "3"}))
    assert (down.across, down.down, down.title) == ("steps", "cfg", 'sampler "3"')
    (fixed,) = planes_of(NAMES, VALUES, Chosen(fixed={"cfg": "2.5"}))
    assert (fixed.across, fixed.down, sorted(fixed.indices)) == ("steps", "sampler", [4, 5, 6, 7])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (Chosen("cgf"), "--x: 'cgf' is no variable of the experiment; did you mean 'cfg'?"),
        (Chosen(fixed={"sampler": "eular"}), "--fix sampler=eular: is no value of it here; did you mean 'euler'?"),
        (Chosen("cfg", "cfg"), "--y: cfg is across already; choose another variable"),
        (Chosen("cfg", fixed={"cfg": "1"}), "--fix: cfg is shown with all its values; fix another variable"),
        (Chosen(fixed={"cfg": "1", "steps": "10"}), "--fix: leaves fewer than two variables to show; fix fewer"),
    ],
)
def test_a_choice_that_is_not_there_is_refused(chosen: Chosen, message: str) -> None:
    """By the option."""
    with pytest.raises(InvalidInputError) as refused:
        planes_of(NAMES, VALUES, chosen)
    assert str(refused.value) == message


def test_one_variable_has_no_plane() -> None:
    """And nothing to choose."""
    assert planes_of(["cfg"], [1, 2]) == []
    with pytest.raises(InvalidInputError, match=r"^--x, --y, --fix: are for experiments with two variables or more"):
        planes_of(["cfg"], [1, 2], Chosen("cfg"))


def test_single_points_of_a_sample_stand_in_a_row() -> None:
    """Unless a person chooses: then each has its place, and the rest is empty."""
    points: list[VariantValue] = [{"cfg": at, "steps": 10 * at, "sampler": "ab"[at % 2]} for at in range(8)]

    assert planes_of(NAMES, points) == []
    (grid,) = grids_of(experiment(points))
    assert grid.across.name == "cfg x steps x sampler"
    chosen = grids_of(experiment(points), Chosen("cfg", "steps"))
    assert [(one.title, len(one.cells)) for one in chosen] == [("sampler a", 4), ("sampler b", 4)]


def test_a_sheet_has_pages_for_each_plane() -> None:
    """Each says which it is."""
    sheet = Sheet(experiment())

    assert [page.grid.title for page in sheet.pages] == ["sampler euler", 'sampler "3"']
    assert [one.text for one in sheet.pages[0].grid.across.labels] == ["1", "2.5"]
    assert [image.sha256 for image in sheet.pages[1].grid.cells.values()] == ["1", "3", "5", "7"]
    (page,) = Sheet(experiment(), Chosen("steps", "sampler", {"cfg": "1"})).pages
    assert sorted(image.sha256 for image in page.grid.cells.values()) == ["0", "1", "2", "3"]
