"""Tables at every width: columns stay straight, short cells are whole, and what is foreign does not act."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.text import Text

from bus.console.table import Column, Table, shared

FOREIGN = "中文 \x1b[2J\x9b31m\r\n\u202egnp.exe [bold red]x[/] 🐈"


def drawn(table: Table, width: int, *, coloured: bool = False) -> list[str]:
    """Return the lines of a table on a terminal, without colours if not told otherwise."""
    console = Console(width=width, force_terminal=True, color_system="standard" if coloured else None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def bold_text(table: Table, width: int) -> list[str]:
    """Return the lines of a table with what switches bold on and off, wherever one piece ends and the next begins."""
    return [line.replace("\x1b[0m\x1b[1m", "") for line in drawn(table, width, coloured=True)]


def health() -> Table:
    """Return a table such as that of `check`."""
    table = Table("service", "address", Column("memory", right=True), Column("now", wraps=True))
    table.add("runner", "tcp://127.0.0.1:5561", "60 MiB", "24 completed, 3 queued")
    table.add("learning", "tcp://127.0.0.1:5571", "80 MiB", "")
    return table


def test_where_it_fits_a_row_is_a_line() -> None:
    """Numbers stand to the right."""
    assert [line.rstrip() for line in drawn(health(), 100)] == [
        "service   address               memory  now",
        "runner    tcp://127.0.0.1:5561  60 MiB  24 completed, 3 queued",
        "learning  tcp://127.0.0.1:5571  80 MiB",
    ]


@pytest.mark.fault(item="F156")
@pytest.mark.parametrize("width", range(30, 81))
def test_no_short_cell_is_broken(width: int) -> None:
    """From 30 columns on: what is narrower breaks long words, as there is no other way."""
    shown = " ".join(" ".join(drawn(health(), width)).split())

    for word in ("tcp://127.0.0.1:5561", "learning", "60 MiB", "completed,", "queued", "memory"):
        assert word in shown
    assert all(cell_len(line) <= width for line in drawn(health(), width))


@pytest.mark.fault(item="F156")
def test_a_narrow_terminal_gets_a_block_for_each_row() -> None:
    """Of what is there: an empty cell has no line."""
    assert [line.rstrip() for line in drawn(health(), 40)] == [
        "service  runner",
        "address  tcp://127.0.0.1:5561",
        "memory   60 MiB",
        "now      24 completed, 3 queued",
        "",
        "service  learning",
        "address  tcp://127.0.0.1:5571",
        "memory   80 MiB",
    ]


def test_a_bar_leaves_before_text_is_broken() -> None:
    """It shows nothing that the numbers beside it do not."""
    table = Table("status", "", Column("jobs", wraps=True), has_headings=False)
    table.add("running", ProgressBar(total=1.0, completed=0.5, width=24), "2/12, 21 s left")

    assert drawn(table, 60)[0].startswith("running  ━━━━━━━━━━━━")
    assert drawn(table, 30)[0].rstrip() == "running  2/12, 21 s left"
    assert [line.rstrip() for line in drawn(table, 12)] == ["running", "2/12, 21 s", "left"]


@pytest.mark.fault(item="F156")
@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
def test_text_from_anywhere_keeps_columns_straight_and_does_not_act(width: int) -> None:
    """Wide characters take two columns each; markup and control characters are shown or become spaces."""
    table = Table(Column("value", wraps=True), Column(FOREIGN), title=FOREIGN)
    table.add(FOREIGN, Text(FOREIGN, style="red"))
    lines = drawn(table, width)

    assert all(line.isprintable() for line in lines)
    assert all(cell_len(line) <= width for line in lines)
    assert "[bold" in " ".join(lines)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5), st.integers(20, 80))
def test_no_line_is_wider_than_the_terminal(cells: list[str], width: int) -> None:
    """Whatever is in it."""
    table = Table(*(Column(f"c{at}", wraps=at % 2 == 0, right=at % 3 == 0) for at in range(len(cells))))
    table.add(*cells)
    table.add(*reversed(cells), style="bold")

    assert all(cell_len(line) <= width for line in drawn(table, width))
    assert table.row_count == 2


@given(
    st.lists(st.lists(st.text("ab \u4f60\u0301", max_size=9), min_size=3, max_size=3), max_size=6), st.integers(12, 40)
)
def test_rows_that_need_no_wrapping_look_as_if_rich_had_laid_them_out(rows: list[list[str]], width: int) -> None:
    """Ten thousand of them take it seconds."""
    table = Table(Column("c1", wraps=True), Column("c2", right=True), Column("c3", right=True, wraps=True))
    for number, row in enumerate(rows):
        table.add(*row, style="bold" if number % 2 else "")
    quick = bold_text(table, width)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bus.console.table._is_line", lambda *_: False)
        assert bold_text(table, width) == quick


def test_ten_thousand_rows_are_drawn_at_once() -> None:
    """As `history` draws them."""
    table = Table("id", Column("name", wraps=True), Column("stars", right=True))
    for number in range(10_000):
        table.add(f"exp-{number}", f"CFG sweep {number}", "3.5")
    began = time.process_time()

    assert len(drawn(table, 80)) == 10_001
    assert time.process_time() - began < 2


def test_a_table_without_rows_has_its_headings() -> None:
    """So that one sees what is listed."""
    assert drawn(Table("id", "name"), 80)[0].split() == ["id", "name"]


@pytest.mark.parametrize(
    ("wanted", "least", "width", "widths"),
    [
        ([5, 5], [5, 5], 20, [5, 5]),
        ([5, 90, 30], [5, 10, 10], 60, [5, 27, 28]),
        ([5, 90, 30], [5, 10, 30], 60, [5, 25, 30]),
        ([9, 9], [9, 9], 10, [9, 9]),
    ],
)
def test_the_widest_column_gives_way_first(wanted: list[int], least: list[int], width: int, widths: list[int]) -> None:
    """None below its least."""
    assert shared(wanted, least, width) == widths
