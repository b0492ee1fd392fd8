"""The judgements about pictures, by experiment and content hash: stars with notes, and comparisons."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from bus.contracts.fields import INT64_MAX
from bus.contracts.messages import Outcome, RatingSummary
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from learning_service.experiments.judgements import Picture, Pictures, Preference, count_pictures
from learning_service.storage.results import PAGE, Results

SQL: Final = sql.load("learning_service.storage", "judgements.sql")
_Row = tuple[int, int, str, int, int, str, Outcome, float]


class RatingRow(NamedTuple):
    """The current rating of a picture; without stars it was undone."""

    sha256: str
    stars: int | None
    note: str
    rated_at: float


class ComparisonRow(NamedTuple):
    """One comparison of two pictures."""

    preference: Preference
    compared_at: float


class Judgements:
    """Reads and writes judgements; every write happens in a transaction of the log."""

    def __init__(self, log: Log, results: Results) -> None:
        """Create the tables if they are not there; `results` tell which pictures there are."""
        self._log, self._results = log, results
        log.create_tables("judgements", SQL)

    def rate(self, tx: Transaction, experiment_id: str, rating: RatingRow) -> None:
        """Record a rating; it replaces the earlier one of the same picture."""
        tx.execute(SQL["insert_rating"], (experiment_id, *rating))

    def ratings(self, experiment_id: str) -> list[RatingRow]:
        """Return the current rating of each rated picture, oldest first."""
        return [_rating(row) for row in self._log.query(SQL["select_ratings"], (experiment_id, 0))]

    def ratings_page(self, experiment_id: str, after: int, limit: int) -> tuple[list[RatingRow], int | None]:
        """Return a page of these ratings, up to the limits of a reply, and the `after` of the next page."""
        rows, more = self._log.query_page(SQL["select_ratings"], (experiment_id, after), limit)
        return [_rating(row) for row in rows], rows[-1][0] if more else None

    def count_rated(self, experiment_id: str) -> int:
        """Return the number of pictures that have stars."""
        return int(self._log.query(SQL["count_rated"], (experiment_id,))[0][0])

    def counts(self, experiment_id: str, first: int = 0, last: int = INT64_MAX) -> dict[int, Pictures]:
        """Return for each variant of an experiment from `first` to `last` how its pictures are rated."""
        made = self._results.hashes(experiment_id, first, last)
        names = list(set().union(*made.values()))
        stars = dict(self._log.query(SQL["select_stars"], (experiment_id, json.dumps(names))))
        return {index: count_pictures(hashes, stars) for index, hashes in made.items()}

    def summary(self, experiment_id: str, variant_index: int) -> RatingSummary | None:
        """Return mean and count of the ratings of a variant's pictures; None if none of them is rated."""
        return self.counts(experiment_id, variant_index, variant_index).get(variant_index, Pictures()).rating

    def rating(self, experiment_id: str, sha256: str) -> RatingRow | None:
        """Return the current rating of one picture."""
        rows = self._log.query(SQL["select_rating"], (experiment_id, sha256))
        return RatingRow(*rows[0]) if rows else None

    def was_rated(self, experiment_id: str, sha256: str, rated_at: float) -> bool:
        """Return whether a picture was rated at this very time."""
        return bool(self._log.query(SQL["select_rating_of_time"], (experiment_id, sha256, rated_at)))

    def undo_rating(self, tx: Transaction, experiment_id: str) -> str | None:
        """Undo the newest rating; return its picture, None if there is none."""
        rows = self._log.query(SQL["select_newest_rating"], (experiment_id,))
        if not rows:
            return None
        number, sha256 = rows[0]
        tx.execute(SQL["delete_rating"], (number,))
        return str(sha256)

    def undo_rating_of(self, tx: Transaction, experiment_id: str, sha256: str, rated_at: float | None) -> bool:
        """Undo the newest rating of a picture, if one time is given only that of then; return whether there was one."""
        rows = self._log.query(SQL["select_newest_rating_of"], (experiment_id, sha256))
        if not rows or rated_at not in (None, rows[0][1]):
            return False
        tx.execute(SQL["delete_rating"], (rows[0][0],))
        return True

    def compare(self, tx: Transaction, experiment_id: str, comparison: ComparisonRow) -> None:
        """Record a comparison of two pictures."""
        said = comparison.preference
        sides = [(side.sha256, side.variant_index, side.repeat_index) for side in (said.left, said.right)]
        row = (experiment_id, *sides[0], *sides[1], said.outcome, comparison.compared_at)
        tx.execute(SQL["insert_comparison"], row)

    def comparisons(self, experiment_id: str) -> list[ComparisonRow]:
        """Return all comparisons of an experiment, oldest first."""
        return list(chain.from_iterable(self.comparison_pages(experiment_id)))

    def comparison_pages(self, experiment_id: str) -> Iterator[list[ComparisonRow]]:
        """Yield the comparisons of an experiment, oldest first, some milliseconds' worth at a time."""
        after = 0
        while rows := self._log.query(SQL["select_comparisons"], (experiment_id, after, PAGE)):
            yield [_comparison(row[1:]) for row in rows]
            after = rows[-1][0]

    def count_comparisons(self, experiment_id: str) -> int:
        """Return the number of comparisons of an experiment."""
        return int(self._log.query(SQL["count_comparisons"], (experiment_id,))[0][0])

    def newest_comparison(self, experiment_id: str) -> int:
        """Return the number of the newest comparison of an experiment, 0 if there is none; none is given twice."""
        rows = self._log.query(SQL["select_newest_comparison"], (experiment_id,))
        return int(rows[0][0]) if rows else 0

    def comparison(
        self, experiment_id: str, left: str | None, right: str | None, compared_at: float | None
    ) -> tuple[int, ComparisonRow] | None:
        """Return the newest comparison with all that is given, behind its number; None if there is none."""
        rows = self._log.query(SQL["select_comparison_of"], (experiment_id, left, right, compared_at))
        return (rows[0][0], _comparison(rows[0][1:])) if rows else None

    def undo_comparison(self, tx: Transaction, number: int) -> None:
        """Undo a comparison."""
        tx.execute(SQL["delete_comparison"], (number,))


def _rating(row: tuple[int, str, int, float, bytes]) -> RatingRow:
    _, sha256, stars, rated_at, note = row
    return RatingRow(sha256, stars, note.decode(), rated_at)


def _comparison(row: _Row) -> ComparisonRow:
    left, right = (
        Picture(variant_index=index, repeat_index=repeat, sha256=sha256)
        for index, repeat, sha256 in (row[0:3], row[3:6])
    )
    return ComparisonRow(Preference(left=left, right=right, outcome=row[6]), compared_at=row[7])
