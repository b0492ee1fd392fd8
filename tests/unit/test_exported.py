"""Exported experiments as documents and tables, and back."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from bus.contracts.archive import ComparisonRecord, PictureRecord, RatingRecord, Records, ResultRecord
from bus.contracts.definition import Block, Variable
from bus.contracts.fields import Scalar
from bus.contracts.messages import ImageRef
from bus.protocol.validation import InvalidInputError
from tests.support.factories import definition
from variantbus.cli.archive import parts_of
from variantbus.reports.export import COLUMNS, Exported, from_csv, from_json, to_csv, to_json, under

VALUES: list[Scalar] = [0, False, 7.5, "euler", "7", "=1+1", "", "null", '"x"', "'-", "a,b\n"]

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


def image(name: str) -> ImageRef:
    """Return a picture."""
    return ImageRef(sha256=name, path=f"exp-1/{name}.png", width=64, height=32, seed=100)


def example(*values: Scalar, notes: str = "@home", name: str = "x", grid: bool = False) -> Exported:
    """Return an experiment of which each value has a job with a picture that is rated, but for the last one's."""
    plan = replace(definition([0]), name="-CFG", variable=Variable(name=name, values=list(values)))
    made = [({name: value, "steps": 4} if grid else value) for value in values]
    if grid:
        plan = replace(
            plan, variable=None, variables=(Variable(name=name, values=[0]), Variable(name="steps", values=[4]))
        )
    results = [
        ResultRecord(
            job_id=f"exp-1.{index}.0.0",
            variant_index=index,
            repeat_index=0,
            state="completed",
            finished_at=13.25,
            seconds=0.1,
            metrics={"match": index / 3, "=m": 0.0},
        )
        for index in range(len(values) - 1)
    ]
    results.append(
        ResultRecord(
            job_id=f"exp-1.{len(values) - 1}.0.0",
            variant_index=len(values) - 1,
            repeat_index=0,
            state="failed",
            finished_at=14.0,
            error="+out of memory",
        )
    )
    pictures = [
        PictureRecord(
            job_id=one.job_id, variant_index=one.variant_index, repeat_index=0, image=image(f"{one.variant_index:04}")
        )
        for one in results[:-1]
    ]
    ratings = [
        RatingRecord(sha256=one.image.sha256, stars=1 + one.variant_index % 5, note=notes, rated_at=15.5)
        for one in pictures
    ]
    records = Records(results=results, pictures=pictures, ratings=ratings)
    return Exported(experiment_id="exp-1", created_at=1.5, definition=plan, values=made, records=records)


@pytest.mark.parametrize("grid", [False, True])
def test_both_formats_are_read_as_they_were_written(grid: bool) -> None:
    """Zero, false, texts that look like numbers or formulas, commas and line ends; one variable or two."""
    exported = example(*VALUES, grid=grid)

    assert from_json(to_json(exported)) == exported
    assert from_csv(to_csv(exported)) == exported
    assert [type(value) for value in from_csv(to_csv(exported)).values] == [type(value) for value in exported.values]


def test_how_long_results_are_is_in_a_table_of_its_own_columns() -> None:
    """A table without videos and sounds is as it was, and a variable may be called `frames`."""
    exported = example(5, 7, 9, name="frames")
    assert "media.duration" not in to_csv(exported)
    first, *rest = exported.records.pictures
    moving = replace(first, image=replace(first.image, media_type="video/webm", duration=1.25, frames=30))
    pictures = [moving, *rest]
    exported = replace(exported, records=replace(exported.records, pictures=pictures))

    assert ",media.duration,media.frames," in to_csv(exported)
    assert from_csv(to_csv(exported)) == exported
    assert from_json(to_json(exported)) == exported


@pytest.mark.fault(item="F150")
@pytest.mark.parametrize("name", [*COLUMNS, "metric.match", "metric.", "variable.seed", "=x", "'=x", "a,b"])
def test_a_variable_may_be_called_as_a_column_is(name: str) -> None:
    """Such as a seed, or the width of pictures: its values are not those of the column."""
    exported = example(5, 7, 9, name=name)

    assert from_csv(to_csv(exported)) == exported


@pytest.mark.parametrize("name", ["x", "block", "variable.block"])
def test_a_table_says_under_which_prompt_a_job_ran(name: str) -> None:
    """In a column of its own, beside a variable of the same name, too; the seed is that of the repeat."""
    exported = example(5, 7, name=name)
    blocks = (Block(config={"prompt": "a star"}), Block(config={"prompt": "=red, blue"}))
    results = [replace(one, repeat_index=3, job_id=f"{one.job_id[:-3]}3.0") for one in exported.records.results]
    exported = replace(
        exported,
        definition=replace(exported.definition, blocks=blocks, jobs_per_variant=2),
        records=Records(results=results),
    )

    table = to_csv(exported)

    assert from_csv(table) == exported
    rows = list(csv.DictReader(io.StringIO(table, newline="")))
    assert [(row["block"], row["seed"], row["repeat_index"]) for row in rows] == [("'=red, blue", "101", "3")] * 2


def test_the_names_of_files_go_through_a_table() -> None:
    """One of an earlier version has no column for them."""
    exported = example(1, 2)
    named = replace(exported.records.pictures[0], image=replace(image("0000"), name="=a, b.csv"))
    exported = replace(exported, records=replace(exported.records, pictures=[named]))

    table = to_csv(exported)

    assert from_csv(table) == exported
    (picture,) = from_csv(table.replace(",file,", ",unknown,")).records.pictures
    assert picture.image.name is UNSET


@settings(max_examples=50)
@given(
    st.lists(st.text(max_size=20) | NUMBERS | st.booleans(), min_size=2, max_size=4),
    st.text(max_size=30).filter(lambda text: "\x00" not in text),
)
def test_any_values_and_notes_go_through_a_table(values: list[Scalar], notes: str) -> None:
    """Whatever a person typed."""
    exported = example(*[value for value in values if value != "" and "\x00" not in str(value)], 1, notes=notes)

    assert from_csv(to_csv(exported)) == exported


def test_a_spreadsheet_calculates_nothing() -> None:
    """No text begins as a formula does; numbers stay numbers, negative ones too."""
    exported = example("=1+1", "+x", "-x", "@x", "\tx", -7, notes="=HYPERLINK(1)")

    rows = list(csv.reader(io.StringIO(to_csv(exported), newline="")))

    texts = [cell for row in rows[1:] for cell in row if cell[:1] in tuple("=+@\t\r")]
    assert texts == []
    assert [cell for row in rows[1:] for cell in row if cell.startswith("-")] == ["-7"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column 'created_at'"),
        ("a,b\r\n1,2\r\n", "line 1: no column 'created_at'"),
        (to_csv(example(1, 2, name="seed")).replace("variable.seed", "seed"), "line 1: no column 'variable.seed'"),
        (to_csv(example(1, 2)).replace(",0000,", ",,"), "line 2: sha256: missing"),
        (to_csv(example(1, 2)).split("\r\n")[0] + "\r\n", "line 2: no definition"),
        (to_csv(example(1, 2)).replace("13.25", "soon"), "line 2: finished_at: must be a number, not 'soon'"),
        (to_csv(example(1, 2)).replace("13.25", "nan"), "line 2: finished_at: must be a number, not 'nan'"),
        (to_csv(example(1, 2)).replace(",64,", f",{2**64},"), "line 2: width: must be a whole number of 64 bits, not"),
        (to_csv(example(77, 2)).replace('",77,', f'",{2**64},'), "line 2: x: a number has 64 bits at most"),
        (to_csv(example(77, 2)).replace('",77,', '",1e999,'), "line 2: x: a number has 64 bits at most, and is finite"),
        (to_csv(example(1, 2, 3)).replace(",1,0,100,exp", ",7,0,100,exp"), "variant_index: some are missing"),
    ],
)
def test_what_is_no_exported_table_is_refused(text: str, message: str) -> None:
    """The sentence names the line."""
    with pytest.raises(InvalidInputError) as refused:
        from_csv(text)

    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version: "),
        ({"format": "other"}, "format: "),
        ({"values": []}, "values: "),
        ({"x": 1}, "x: unknown key"),
    ],
)
def test_a_document_of_another_kind_is_refused(changes: dict[str, Any], message: str) -> None:
    """The sentence names the field."""
    with pytest.raises(InvalidInputError) as refused:
        from_json(json.dumps(json.loads(to_json(example(1, 2))) | changes))

    assert str(refused.value).startswith(message)


def test_a_copy_has_the_job_ids_of_its_own_plan() -> None:
    """Also of an experiment whose jobs had any ids; a second job of a seed is its next round."""
    exported = example(1, 2)
    strange = [replace(one, job_id=f"job {place}") for place, one in enumerate(exported.records.results)]
    again = replace(strange[0], job_id="once more", finished_at=20.0)
    pictures = [replace(exported.records.pictures[0], job_id="once more")]
    records = Records(results=[again, *strange], pictures=pictures)

    copied = under(replace(exported, records=records), "copy-1")

    assert [one.job_id for one in copied.records.results] == ["copy-1.0.0.1", "copy-1.0.0.0", "copy-1.1.0.0"]
    assert copied.records.pictures[0].job_id == "copy-1.0.0.1"
    assert under(exported, "exp-1") == exported


def test_parts_fit_into_requests_and_hold_everything() -> None:
    """In the order in which it was."""
    comparison = ComparisonRecord(
        left="a", left_variant=0, left_repeat=0, right="b", right_variant=1, right_repeat=0, outcome="tie"
    )
    ratings = [RatingRecord(sha256=f"{number:064}", stars=3, note="x" * 1000) for number in range(3000)]
    whole = replace(example(1, 2).records, ratings=ratings, comparisons=[comparison])

    parts = parts_of(whole)

    assert len(parts) == 13
    assert [one for part in parts for one in part.ratings] == ratings
    assert parts[-1].comparisons == [comparison]
    assert parts_of(Records()) == [Records()]


def test_what_is_to_be_known_of_a_result_besides_is_exported() -> None:
    """Its warnings and the job that made it; a table has columns for them only where a job has one."""
    plain = example(1, 2)
    first, second = plain.records.results
    told = replace(first, warnings=("no 'match', really", "slow\nserver"), reused_from=second.job_id)
    records = replace(plain.records, results=[told, replace(second, reused_from="another.0.0.0")])
    exported = replace(plain, records=records)

    assert from_json(to_json(exported)) == exported
    assert from_csv(to_csv(exported)) == exported
    assert "job." not in to_csv(plain).splitlines()[0]
    assert "warnings" not in to_json(plain)
    renamed = under(exported, "exp-2").records.results
    assert [one.reused_from for one in renamed] == ["exp-2.1.0.0", "another.0.0.0"]


def test_warnings_that_are_no_list_are_refused() -> None:
    """With the line."""
    plain = example(1, 2)
    told = replace(plain.records.results[0], warnings=("x",))
    text = to_csv(replace(plain, records=replace(plain.records, results=[told, plain.records.results[1]])))

    with pytest.raises(InvalidInputError, match=r"line 2: job\.warnings: must be a list in JSON"):
        from_csv(text.replace('"[""x""]"', "oops"))
