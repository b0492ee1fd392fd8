"""What a client checks before it asks a service to plan an experiment."""

from typing import Any

import pytest

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.experiments import CreateParams
from bus.protocol.validation import InvalidInputError
from variantbus.client import planning
from variantbus.client.planning import create

LARGE = tuple(Variable(name=name, start=1, stop=30, step=1) for name in "abcdef")


def test_a_search_may_choose_from_any_number_of_combinations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a grid has to have few; the values of both are checked."""
    asked: list[Any] = []
    monkeypatch.setattr(planning, "request", lambda *args, **_: asked.append(args[2]))
    search = ExperimentDefinition(name="x", variables=LARGE, mode="adaptive", budget=20)

    create("tcp://127.0.0.1:1", search)

    (params,) = asked
    assert isinstance(params, CreateParams)
    assert params.definition == search
    with pytest.raises(InvalidInputError, match=r"729000000 combinations are more than 100000"):
        create("tcp://127.0.0.1:1", ExperimentDefinition(name="x", variables=LARGE))
    odd = ExperimentDefinition(name="x", variable=Variable(name="a", values=[]), mode="adaptive", budget=20)
    with pytest.raises(InvalidInputError, match=r"^variable.values: empty"):
        create("tcp://127.0.0.1:1", odd)
