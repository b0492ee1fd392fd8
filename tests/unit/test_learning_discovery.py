"""Experiments over several variables that are discovered by their jobs."""

import pytest
from msgspec.structs import replace

from tests.support.factories import EXPERIMENT, JobScript, RouterHarness, context


@pytest.mark.parametrize(("name", "count"), [("cfg x steps x size", 3), ("another name", 1)])
def test_discovery_finds_the_variables_of_a_grid(name: str, count: int) -> None:
    """By the map of its values; the name of the variable under test stays what it is."""
    harness = RouterHarness(options={"discover": True})
    mark = context(0, {"cfg": 1, "steps": 8, "size": "wide"}, variable=name)

    harness.handle(JobScript(mark).queued())
    harness.handle(
        JobScript(replace(mark, variant_index=1, variant_value={"cfg": 2, "steps": 8, "size": "a"})).queued()
    )

    definition = harness.experiments[EXPERIMENT].definition
    assert (len(definition.knobs), definition.variable_name) == (count, name)
    assert len(harness.experiments[EXPERIMENT].variants) == 2
