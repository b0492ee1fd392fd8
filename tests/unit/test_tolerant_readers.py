"""Readers ignore what they do not know, at every depth; doors refuse it and name it."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, get_args

import msgspec
import pytest
from msgspec import Struct

import bus
import learning_service
import pipeline_runner
import variantbus
from bus.config.settings import Settings
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.messages import Message, RecommendationUpdated, decode_body
from bus.contracts.methods import METHODS
from bus.contracts.pipeline_specs import VariableSpec, check_value
from bus.protocol.control import ControlError, ErrorBody
from bus.protocol.doors import strict, take
from bus.protocol.frames import FeedFrame, HeartbeatFrame, Record
from bus.protocol.places import shown
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from tests.support.samples import Sample
from variantbus.cli.view import style_of
from variantbus.files.reading import JobFile
from variantbus.reports.export import Exported

NEW_KEY: Final = "written_by_a_newer_version"
NEW_VALUE: Final = {"deep": [1, {"er": None}]}
PACKAGES: Final = (bus, learning_service, pipeline_runner, variantbus)
FILES: Final = (ExperimentDefinition, JobFile, Settings, Exported)
encode: Final = msgspec.msgpack.encode


def stored() -> Iterator[tuple[str, Any]]:
    """Yield the types of all decoders that our modules hold: for what is stored, and for frames and replies."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                decoder = getattr(value, "__self__", value)
                if isinstance(decoder, msgspec.msgpack.Decoder) and decoder.type is not Any:
                    yield f"{module.name}.{name}", decoder.type


READ: Final[dict[str, Any]] = {
    **{kind.__name__: kind for kind in get_args(Message)},
    **{f"the reply of {method.name}": method.result for method in METHODS},
    **{kind.__name__: kind for kind in (FeedFrame, HeartbeatFrame, Record, ErrorBody)},
    **{name: kind for name, kind in stored() if name != "bus.contracts.messages._decoder"},
}
DOORS: Final = {
    **{method.name: method.params for method in METHODS if method.params.__struct_fields__},
    **{kind.__name__: kind for kind in FILES},
}
each_read: Final = pytest.mark.parametrize("kind", READ.values(), ids=READ)
each_door: Final = pytest.mark.parametrize("kind", DOORS.values(), ids=DOORS)


def read(kind: Any) -> Callable[[Any], object]:
    """Return how plain data is decoded as a reader of a type does."""
    decoder = msgspec.msgpack.Decoder(kind)
    return lambda data: decoder.decode(encode(data))


def with_key(kind: Any) -> Iterator[tuple[str, Any]]:
    """Yield samples of a type with one more key or element, each at another place, and its path."""
    sample = Sample(kind)
    for place in sample.places:
        if isinstance(place.data, list):
            place.data.append(NEW_VALUE)
            yield place.path, sample.data
            place.data.pop()
        else:
            place.data[NEW_KEY] = NEW_VALUE
            yield place.path, sample.data
            del place.data[NEW_KEY]


@pytest.mark.fault(item="F90")
@each_read
def test_a_reader_ignores_unknown_fields_at_every_depth(kind: Any) -> None:
    """What is in an event, a reply or the storage decodes as if the field was not there."""
    known = read(kind)(Sample(kind).data)
    for path, data in with_key(kind):
        assert read(kind)(data) == known, path


@pytest.mark.fault(item="F90")
@each_read
def test_a_reader_takes_words_and_numbers_of_a_newer_version(kind: Any) -> None:
    """A state, an outcome or a goal that has come since, a bound that is wider now."""
    sample = Sample(kind)
    for _, data, name, other in sample.words:
        before, data[name] = data[name], other
        read(kind)(sample.data)
        data[name] = before


@each_read
def test_no_word_is_fixed_where_something_is_read(kind: Any) -> None:
    """A plain `Literal` there would refuse the words of newer versions: use `words`. What is ours has versions."""
    name = next(name for name, one in READ.items() if one is kind)
    assert not Sample(kind).literals or name.startswith(
        ("learning_service.storage", "learning_service.cluster", "pipeline_runner.")
    )


def test_there_is_something_to_read() -> None:
    """The walk through the modules finds the decoders of the stores."""
    found = {name for name, _ in stored()}
    assert {"learning_service.storage.store._decode_definition", "pipeline_runner.queue.store._decode"} <= found
    assert len(Sample(ExperimentDefinition).words) > 9
    assert {place.path for place in Sample(ExperimentDefinition).places} == {
        *("", "variable", "variables[0]", "blocks[0]", "score"),
    }


@pytest.mark.fault(item="F90")
def test_a_message_of_an_unknown_type_is_none() -> None:
    """The tag of a newer message is no error, whatever else is in it."""
    assert decode_body(encode({"type": "job.teleported", "job_id": 5})) is None


def door(kind: Any) -> Callable[[Any], object]:
    """Return how plain data comes in: a file is taken, a request is decoded by the method server."""
    if kind in FILES:
        return lambda data: take(data, kind)
    methods = MethodServer()
    methods.add("method", kind, lambda params: {} if type(params) is kind else 1 / 0)

    def ask(data: Any) -> None:
        _, status, reply = methods.answer([b"", b"method", encode(data)])
        if status == b"error":
            error = ControlError.of(msgspec.msgpack.decode(reply, type=ErrorBody))
            assert error.code == "invalid_request", error
            raise InvalidInputError(error.message)

    return ask


@pytest.mark.fault(item="F91")
@each_door
def test_a_door_refuses_unknown_keys_at_every_depth(kind: type[Struct]) -> None:
    """The sentence names the key with its path, and the nearest known one."""
    come_in, sample = door(kind), Sample(kind)
    come_in(sample.data)
    for path, of, data in sample.places:
        assert isinstance(data, dict)
        for name in of.__struct_fields__:
            typo = name + "e"
            data[typo] = 1
            with pytest.raises(InvalidInputError) as refused:
                come_in(sample.data)
            where = f"{shown(path)}.{typo}" if path else typo
            assert str(refused.value) == f"{where}: unknown key; did you mean {name!r}?"
            del data[typo]


@pytest.mark.fault(item="F91")
@each_door
def test_a_door_refuses_unknown_words_and_what_is_out_of_bounds(kind: type[Struct]) -> None:
    """What a reader takes from a newer version is a mistake of the author here."""
    come_in, sample = door(kind), Sample(kind)
    for path, data, name, other in sample.words:
        before, data[name] = data[name], other
        with pytest.raises(InvalidInputError, match=f"^{re.escape(shown(path))}: "):
            come_in(sample.data)
        data[name] = before


def test_what_is_strict_is_made_once_and_only_where_it_differs() -> None:
    """A type without anything to refuse is its own door."""
    plain = next(method.params for method in METHODS if method.name == "experiment.show")
    assert strict(plain) is plain
    assert strict(ExperimentDefinition) is strict(ExperimentDefinition) is not ExperimentDefinition
    assert strict(dict[str, int]) == dict[str, int]
    assert strict(list[RecommendationUpdated]).__args__[0].__struct_config__.tag == "recommendation.updated"  # type: ignore[attr-defined]


def test_a_kind_of_value_that_is_new_is_left_to_the_runner() -> None:
    """An older learning service plans with what a newer runner offers: it checks what it knows of it."""
    spec = VariableSpec(kind="duration", maximum=5)
    check_value("config.pause", spec, "2 min")
    with pytest.raises(InvalidInputError, match=r"out of bounds"):
        check_value("config.pause", spec, 6)


def test_a_state_that_is_new_is_drawn_plainly() -> None:
    """The command line shows a word that it does not know."""
    assert style_of("paused") == ""
    assert style_of("failed")


def test_an_error_with_a_new_code_keeps_it() -> None:
    """A client that does not know the code still has the sentence."""
    error = ControlError.of(ErrorBody(code="teapot", message="no coffee here", details={"a": "b"}))
    assert (error.code, error.message, error.details) == ("teapot", "no coffee here", {"a": "b"})
