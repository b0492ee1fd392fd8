"""Tables for a terminal of any width: columns where they fit, else one line for each cell. Needs the extra `cli`.

Numbers, ids and states are never broken; free text is, between words. A bar leaves first. Where the rest does not fit
then, each row becomes a block of lines `heading  cell`, as the expanded display of psql does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, Literal, NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table as RichTable
from rich.text import Text

from bus.console.printable import printable

GAP: Final = 2  # columns between two cells
WORD: Final = 20  # cells of the longest word for which a column of text is kept wide enough
WIDE_WORD: Final = 8  # of Chinese or Japanese, which may be broken anywhere
EASY: Final = 24  # cells of a text that a bar does not make narrower
LEAST: Final = 8  # cells for what stands beside its heading
Cell = str | Text | ProgressBar
Row = tuple[list[Text | ProgressBar], str]  # cells and style


class Column(NamedTuple):
    """How the cells of a column are laid out."""

    heading: str
    right: bool = False
    wraps: bool = False  # free text, which may take several lines


class Table:
    """Rows of cells. Text from anywhere is shown harmlessly, and its brackets are no markup."""

    def __init__(self, *columns: Column | str, title: str = "", has_headings: bool = True) -> None:
        """Start without rows; a column that is only named has short cells."""
        self._columns = [Column(one) if isinstance(one, str) else one for one in columns]
        self._columns = [one._replace(heading=printable(one.heading)) for one in self._columns]
        self._title, self._has_headings = title, has_headings
        self._rows: list[Row] = []

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def add(self, *cells: Cell, style: str = "") -> None:
        """Add a row, with a cell for each column."""
        self._rows.append(([_harmless(cell) for cell in cells], style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table as wide as the terminal allows."""
        width = options.max_width
        if self._title:
            yield Text(printable(self._title), style="italic")
        everything, rest = list(range(len(self._columns))), self._without_bars()
        natural = [self._natural(at) for at in everything]
        least = [self._least(at, natural[at]) for at in everything]
        easy = [max(least[at], min(natural[at], EASY)) for at in everything]
        if _sum(easy) <= width:
            room = shared(natural, easy, width - GAP * (len(everything) - 1))
            yield from self._side_by_side(console, dict(zip(everything, room, strict=True)))
        elif _sum([least[at] for at in rest]) <= width:
            room = shared([natural[at] for at in rest], [least[at] for at in rest], width - GAP * (len(rest) - 1))
            yield from self._side_by_side(console, dict(zip(rest, room, strict=True)))
        else:
            yield self._stacked(width)

    def _without_bars(self) -> list[int]:
        return [
            at for at in range(len(self._columns)) if not any(isinstance(row[at], ProgressBar) for row, _ in self._rows)
        ]

    def _natural(self, at: int) -> int:
        """Return the cells that a column takes with each cell in one line."""
        heading = cell_len(self._columns[at].heading) if self._has_headings else 0
        return max([heading, *(_width(row[at]) for row, _ in self._rows)])

    def _least(self, at: int, natural: int) -> int:
        """Return the cells below which a column cannot be read."""
        if not self._columns[at].wraps:
            return natural
        words = (word for row, _ in self._rows for word in str(row[at]).split())
        return min(natural, max([cell_len(self._columns[at].heading), *map(_unbroken, words)]))

    def _side_by_side(self, console: Console, widths: Mapping[int, int]) -> RenderResult:
        """Draw the columns that have a width; a row is laid out by rich, which is slow, only where text is wrapped."""
        if self._has_headings:
            yield self._laid_out(widths, [], show_header=True)
        for is_line, rows in groupby(self._rows, key=lambda row: _is_line(row[0], widths)):
            if is_line:
                for cells, style in rows:
                    yield from self._line(console, widths, cells, style)
            else:
                yield self._laid_out(widths, rows, show_header=False)

    def _laid_out(self, widths: Mapping[int, int], rows: Iterable[Row], *, show_header: bool) -> RichTable:
        table = _plain(show_header=show_header)
        for at, size in widths.items():
            column = self._columns[at]
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(
                Text(column.heading), justify=justify, width=size, overflow="fold", no_wrap=not column.wraps
            )
        for cells, style in rows:
            table.add_row(*(cells[at] for at in widths), style=style)
        return table

    def _line(
        self, console: Console, widths: Mapping[int, int], cells: Sequence[Text | ProgressBar], style: str
    ) -> Iterator[Segment]:
        last = next(reversed(widths), None)
        for at, size in widths.items():
            text = aligned(str(cells[at]), size, right=self._columns[at].right)
            look = console.get_style(style) + console.get_style(getattr(cells[at], "style", ""))
            yield Segment(text if at == last else text + " " * GAP, look)
        yield Segment.line()

    def _stacked(self, width: int) -> RichTable:
        """Draw a block of lines for each row, without what is empty."""
        shown = self._without_bars()
        longest = max((cell_len(self._columns[at].heading) for at in shown), default=0)
        side = min(longest, max(1, width - LEAST - 1)) if self._has_headings else 0
        table = _plain(show_header=False)
        if side:
            table.add_column(width=side, overflow="fold", style="bold")
        table.add_column(width=max(1, width - side - GAP), overflow="fold")
        for number, (row, style) in enumerate(self._rows):
            if number and self._has_headings:
                table.add_row()
            for at in shown:
                if str(row[at]):
                    table.add_row(*([self._columns[at].heading] if side else []), row[at], style=style)
        return table


def shared(wanted: list[int], least: list[int], width: int) -> list[int]:
    """Return the widths of columns that fit together: the widest give way first, none below its least."""
    widths = list(wanted)
    while sum(widths) > width:
        at = max(range(len(widths)), key=lambda at: (widths[at] > least[at], widths[at]))
        if widths[at] <= least[at]:
            break
        widths[at] -= 1
    return widths


def _is_line(cells: Sequence[Text | ProgressBar], widths: Mapping[int, int]) -> bool:
    """Return whether a row is text that fits into its columns."""
    return all(isinstance(cells[at], Text) and _width(cells[at]) <= size for at, size in widths.items())


def aligned(text: str, size: int, *, right: bool) -> str:
    """Return a text with so many spaces that it takes `size` cells, as rich would."""
    if right:
        text = text.rstrip(" ")
    room = " " * (size - cell_len(text))
    return room + text if right else text + room


def _unbroken(word: str) -> int:
    """Return for how many cells of a word its column is kept wide enough."""
    cells = cell_len(word)
    return min(cells, WORD if cells == len(word) else WIDE_WORD)


def _sum(widths: list[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _plain(*, show_header: bool) -> RichTable:
    return RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_header=show_header)


def _harmless(cell: Cell) -> Text | ProgressBar:
    if isinstance(cell, str):
        return Text(printable(cell))
    return Text(printable(cell.plain), style=cell.style) if isinstance(cell, Text) else cell


def _width(cell: Text | ProgressBar) -> int:
    return cell_len(cell.plain) if isinstance(cell, Text) else cell.width or 0
