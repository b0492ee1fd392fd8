"""Tables for a terminal of any width: columns where they fit, else one line for each cell. Needs the extra `cli`.

Numbers, ids and states are never broken; free text is, between words. A bar leaves first. Where the rest does not fit
then, each row becomes a block of lines `heading  cell`, as the expanded display of psql does.
"""

from typing import Final, Literal, NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from bus.console.printable import printable

GAP: Final = 2  # columns between two cells
WORD: Final = 20  # cells of the longest word for which a column of text is kept wide enough
WIDE_WORD: Final = 8  # of Chinese or Japanese, which may be broken anywhere
EASY: Final = 24  # cells of a text that a bar does not make narrower
LEAST: Final = 8  # cells for what stands beside its heading
Cell = str | Text | ProgressBar


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
        self._rows: list[tuple[list[Text | ProgressBar], str]] = []

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
        easy = [max(self._least(at), min(self._natural(at), EASY)) for at in everything]
        least = [self._least(at) for at in rest]
        if _sum(easy) <= width:
            yield self._side_by_side(everything, easy, width)
        elif _sum(least) <= width:
            yield self._side_by_side(rest, least, width)
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

    def _least(self, at: int) -> int:
        """Return the cells below which a column cannot be read."""
        natural = self._natural(at)
        if not self._columns[at].wraps:
            return natural
        words = (word for row, _ in self._rows for word in str(row[at]).split())
        return min(natural, max([cell_len(self._columns[at].heading), *map(_unbroken, words)]))

    def _side_by_side(self, shown: list[int], least: list[int], width: int) -> RichTable:
        wanted = [self._natural(at) for at in shown]
        widths = shared(wanted, least, width - GAP * (len(shown) - 1))
        table = _plain(show_header=self._has_headings)
        for at, size in zip(shown, widths, strict=True):
            column = self._columns[at]
            justify: Literal["left", "right"] = "right" if column.right else "left"
            table.add_column(
                Text(column.heading), justify=justify, width=size, overflow="fold", no_wrap=not column.wraps
            )
        for row, style in self._rows:
            table.add_row(*(row[at] for at in shown), style=style)
        return table

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
