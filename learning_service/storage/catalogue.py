"""The list of experiments: pages of it, searches in it, and sums over all of it, without reading any variants."""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, get_args

import msgspec

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.listing import ExperimentIndexParams
from bus.contracts.messages import VariantState
from bus.eventlog import sql
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.transport.pace import Pace
from learning_service.experiments.model import Experiment, Listed, SearchState, Summary

SQL: Final = sql.load("learning_service.storage", "catalogue.sql")
AT_ONCE: Final = 10_000  # experiments that are looked at for one page: some 30 ms
STATES: Final = frozenset(get_args(VariantState))

_decode_definition = msgspec.msgpack.Decoder(ExperimentDefinition).decode
_decode_summary = msgspec.msgpack.Decoder(Summary).decode


class Indexed(NamedTuple):
    """What an order of experiments follows from; `name` is in the form in which case does not matter."""

    experiment_id: str
    updated_at: float
    completed: int
    name: str  # where that is the order
    definition: bytes | None  # where what waits is


class Catalogue:
    """Lists experiments, newest first; every write happens in a transaction of the log."""

    def __init__(self, log: Log) -> None:
        """Create the table if it is not there; those of experiments and searches are."""
        self._log, self._pace = log, Pace(AT_ONCE)
        log.create_tables("catalogue", SQL)

    def write(self, tx: Transaction, experiment: Experiment) -> None:
        """Write what an experiment is found by."""
        definition = experiment.definition
        words = words_of(experiment.experiment_id, definition)
        entry = (definition.pipeline, definition.variable_name, words, experiment.experiment_id)
        tx.execute(SQL["upsert_entry"], entry)

    def ids(self, prefix: str, limit: int) -> list[str]:
        """Return the ids that begin so, in their order; of an empty prefix the newest ones, newest first."""
        by_prefix = (SQL["select_ids"], {"prefix": prefix, "limit": limit})
        rows = self._log.query(*by_prefix) if prefix else self._log.query(SQL["select_newest_ids"], (limit,))
        return [experiment_id for (experiment_id,) in rows]

    def page(
        self,
        before: int | None,
        limit: int,
        search: str,
        damage: dict[str, tuple[str, ...]],
        *,
        archived: bool | None = None,
    ) -> tuple[list[Listed], int | None]:
        """Return experiments with all words of a search, as many as a reply takes, and the `before` of the next page.

        `damage` is what each experiment has lost. `archived`: only those that are, or only the others.
        """
        span = self._span(before)
        params = {**span, "words": json.dumps(_words(search)), "archived": archived, "limit": limit}
        rows, more = self._log.query_page(SQL["select_listed"], params, limit)
        found = [_listed(row, damage.get(row[1], ())) for row in rows]
        return found, _next(span, rows[-1][0] if more else None)

    def find(self, experiment_id: str, damage: tuple[str, ...]) -> Listed | None:
        """Return an experiment as lists show it, None if there is none; `damage` is what it has lost."""
        rows = self._log.query(SQL["select_one"], (experiment_id,))
        return _listed(rows[0], damage) if rows and rows[0][7] else None  # without a summary it is not listed yet

    def index(self, params: ExperimentIndexParams) -> Iterator[list[Indexed]]:
        """Yield what an order of experiments follows from, newest first, some milliseconds' worth at a time."""
        words, states = json.dumps(_words(params.search)), json.dumps(params.states)
        chosen = {"words": words, "states": states, "archived": params.archived, "order": params.order}
        before = self._span(None)["before"]
        while before > 1:
            count = self._pace.count
            with self._pace.timed(count):
                rows = self._log.query(SQL["select_index"], {**chosen, "before": before, "from": before - count})
            yield [Indexed(name, at, completed, _name_in(words), plan) for name, at, completed, words, plan in rows]
            before -= count

    def chosen(
        self, before: int | None, limit: int, *, variable: str | None, pipeline: str | None
    ) -> tuple[list[tuple[int, str]], int | None]:
        """Return the numbers and ids of experiments of a variable and a pipeline, and the `before` of the next page."""
        span = self._span(before)
        params = {**span, "variable": variable, "pipeline": pipeline, "limit": limit}
        rows = self._log.query(SQL["select_chosen"], params)
        return rows, _next(span, rows[-1][0] if len(rows) == limit else None)

    def seconds_a_job(self, pipeline: str) -> float | None:
        """Return the mean seconds of all completed jobs of a pipeline; None if there is none."""
        ((completed, seconds),) = self._log.query(SQL["select_seconds"], (pipeline,))
        return seconds / completed if completed else None

    def unlisted(self, limit: int) -> list[str]:
        """Return experiments that are not in the list yet."""
        return [experiment_id for (experiment_id,) in self._log.query(SQL["select_unlisted"], (limit,))]

    def _span(self, before: int | None) -> dict[str, int]:
        """Return the numbers of the experiments that are looked at for one page."""
        if before is None:
            before = (self._log.query(SQL["select_newest"])[0][0] or 0) + 1
        return {"before": before, "from": before - AT_ONCE}


def _name_in(words: str) -> str:
    """Return the name of an experiment, in the form in which case does not matter: see `words_of`."""
    return words.partition("\n")[2].partition("\n")[0]


def _words(search: str) -> list[str]:
    """Return the words of a search; long ones are rare, so that most experiments are looked at for one word alone."""
    return sorted(search.casefold().split(), key=lambda word: (word in STATES, -len(word)))


def _listed(row: tuple[Any, ...], damage: tuple[str, ...]) -> Listed:
    (
        _,
        experiment_id,
        created_at,
        updated_at,
        revision,
        status,
        seconds,
        summary,
        state,
        reason,
        archived,
        definition,
    ) = row
    return Listed(
        experiment_id=experiment_id,
        definition=_decode_definition(definition),
        created_at=created_at,
        updated_at=updated_at,
        revision=revision,
        search=SearchState(state, reason) if state else None,
        damage=damage,
        status=status,
        seconds=seconds,
        summary=_decode_summary(summary),
        archived=bool(archived),
    )


def words_of(experiment_id: str, definition: ExperimentDefinition) -> str:
    """Return the texts by which people look for an experiment, a line each, in the form in which case does not matter.

    They are its id and name, pipeline and stage, its variables with their values, and the texts of its configuration,
    such as the prompt, and the file that it was made from.
    """
    return "\n".join((experiment_id, definition.name, *_texts(definition))).casefold()


def _texts(definition: ExperimentDefinition) -> Iterator[str]:
    yield from (definition.pipeline, definition.stage, definition.origin)
    for knob in definition.knobs:
        yield knob.name
        yield from _texts_of(None if knob.values == "all" else knob.values)
        yield from (knob.replace, knob.setting)
        for config in knob.settings.values():
            yield from _texts_of(config)
    yield from _texts_of(definition.config)
    for block in definition.blocks:
        yield block.name
        yield from _texts_of(block.config)


def _texts_of(value: object) -> Iterator[str]:
    """Yield the texts in a value, which may be a list, or a map of lists."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts_of(part)


def _next(span: dict[str, int], last: int | None) -> int | None:
    """Return where the next page begins: behind the last row of a full one, else behind all that was looked at."""
    if last is not None:
        return last
    return span["from"] if span["from"] > 1 else None
