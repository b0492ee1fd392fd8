"""The data of a learning service after years: many experiments, written before it starts."""

from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from bus.eventlog.log import Log
from learning_service.experiments.model import Experiment
from learning_service.experiments.variants import Variant
from learning_service.storage.store import LearningStore
from tests.support.factories import definition, planned_jobs

PROMPT: Final = "a blue star on a green field, masterpiece, best quality, highly detailed, " * 8


def fill(folder: Path, count: int, *, pipeline: str = "embedded", values: int = 1, seconds: float = 2.0) -> None:
    """Write experiments, as they would be after years, before the service starts: two completed jobs of each value."""
    with closing(Log(folder / "learning.db")) as log:
        store = LearningStore(log)
        with log.transaction() as tx:
            for number in range(count):
                name = f"{pipeline}-{number:05}"
                plan = replace(
                    definition(range(values), config={"prompt": f"{PROMPT}No{number}"}),
                    name=f"Sweep {number}",
                    pipeline=pipeline,
                )
                variants = [
                    Variant(
                        index=index,
                        value=index,
                        jobs=dict.fromkeys(planned_jobs(index), "ended"),
                        status="failed" if number == count // 2 else "completed",
                        completed=2,
                        duration_sum=2 * seconds,
                    )
                    for index in range(values)
                ]
                experiment = Experiment(name, plan, variants, created_at=float(number))
                store.insert(tx, experiment)
                store.write_experiment(tx, experiment)
