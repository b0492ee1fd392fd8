"""Messages: what is written is read again, and what a newer or broken writer sends does no harm."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import INT64_MAX
from bus.contracts.messages import (
    EventRejected,
    ExperimentDeleted,
    ExperimentStatus,
    ImageRated,
    ImageRef,
    ImagesCompared,
    JobCompleted,
    JobError,
    JobProgress,
    JobQueued,
    JobResult,
    JobScored,
    JobStarted,
    LearningContext,
    Message,
    RatingSummary,
    RecommendationUpdated,
    Totals,
    ValueEstimate,
    VariantProgress,
    VariantStatus,
    decode_body,
    encode_body,
)
from bus.protocol.validation import InvalidInputError

CONTEXT = LearningContext(
    experiment_id="cfg-7f3a",
    experiment_name="CFG sweep",
    variant_index=2,
    variable_under_test="cfg_scale",
    variant_value=4.5,
    repeat_index=1,
)
GRID = msgspec.structs.replace(CONTEXT, variant_value={"cfg_scale": 4.5, "sampler": "euler"})
IMAGE = ImageRef(sha256="ab" * 32, path="2025/a.png", width=64, height=48, seed=7)
FAILED = JobResult(success=False, error=JobError(kind="timeout", message="no answer"), warnings=("slow",))
DONE = JobResult(success=True, images=(IMAGE,), metrics={"seconds": 0.25}, effective={"steps": 12, "sizes": [1, 2]})
BASE: dict[str, Any] = {"job_id": "j1", "stage": "txt2img", "pipeline": "embedded", "attempt": 1}

EXAMPLES: list[Message] = [
    JobQueued(**BASE, learning_context=None, queued_at=1.0),
    JobStarted(**BASE, learning_context=CONTEXT, started_at=2.0),
    JobProgress(job_id="j1", learning_context=GRID, fraction=0.5, step=6, steps=12, eta_seconds=0.5),
    JobCompleted(
        **BASE, learning_context=GRID, config={"a": None}, result=DONE, queued_at=1.0, started_at=2.0, finished_at=3.5
    ),
    JobCompleted(
        **BASE, learning_context=None, config={}, result=FAILED, queued_at=1.0, started_at=None, finished_at=3.5
    ),
    VariantStatus(
        experiment_id="cfg-7f3a",
        experiment_name="CFG sweep",
        variant_index=0,
        variable_under_test="cfg_scale",
        variant_value=True,
        status="partial",
        planned=4,
        completed=2,
        failed=1,
        cancelled=1,
        images=(IMAGE, IMAGE),
        error="no answer",
        rating=RatingSummary(mean=4.5, count=2),
        metrics={"prompt_match": 0.9},
        duration_mean=0.3,
        revision=9,
        updated_at=5.0,
    ),
    VariantProgress(experiment_id="cfg-7f3a", variant_index=1, job_id="j1", fraction=0.1),
    ExperimentStatus(
        experiment_id="cfg-7f3a",
        experiment_name="CFG sweep",
        status="running",
        definition=ExperimentDefinition(name="CFG sweep", variable=Variable(name="cfg_scale", values=[1, 2.5, "x"])),
        totals=Totals(variants=2, jobs=8, running=1, completed=3, failed=0, cancelled=0),
        eta_seconds=12.0,
        created_at=0.5,
        updated_at=5.0,
        revision=3,
    ),
    ExperimentDeleted(experiment_id="cfg-7f3a", experiment_name="CFG sweep", deleted_at=6.0),
    ImagesCompared(
        experiment_id="cfg-7f3a",
        left="ab" * 32,
        right="cd" * 32,
        left_variant=0,
        right_variant=1,
        outcome="both_bad",
        compared_at=6.0,
    ),
    ImageRated(experiment_id="cfg-7f3a", variant_index=0, sha256="ab" * 32, stars=None, note="ü", rated_at=6.0),
    RecommendationUpdated(
        experiment_id="cfg-7f3a",
        value={"cfg_scale": 4.5},
        p_best=0.8,
        sentence="4.5 is best.",
        tier="likely",
        objective="rating",
        estimates=(ValueEstimate(value=4.5, mean=4.0, low=3.0, high=5.0, n=4, p_best=0.8),),
    ),
    EventRejected(reason="unknown_experiment", topic="job.completed.x.0.", offset=4, job_id=None, detail="…"),
    JobScored(job_id="j1", learning_context=GRID, metrics={"sharpness": 812.5}, scored_at=4.0),
]
names = pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)


def as_map(message: Message) -> dict[str, Any]:
    """Return a message as the plain map that other languages see."""
    plain: dict[str, Any] = msgspec.msgpack.decode(encode_body(message))
    return plain


@names
def test_a_message_survives_the_way_over_the_wire(message: Message) -> None:
    """Encoding and decoding gives an equal message of the same type."""
    assert decode_body(encode_body(message)) == message


def test_every_message_type_is_among_the_examples() -> None:
    """The round trip is tested for all members of the union."""
    assert {type(message) for message in EXAMPLES} == set(get_args(Message))


@names
def test_a_body_is_a_map_with_its_type(message: Message) -> None:
    """Other languages find the type, such as `job.completed`, in the field `type`."""
    kind = as_map(message)["type"]

    assert kind == type(message).__struct_config__.tag
    assert kind.replace(".", "") == type(message).__name__.lower()


@pytest.mark.fault(item="B9")
@pytest.mark.fault(item="F47")
@names
def test_unknown_fields_are_ignored(message: Message) -> None:
    """A newer writer may add fields."""
    newer = as_map(message) | {"added_in_protocol_1_1": {"deep": [1, None]}}

    assert decode_body(msgspec.msgpack.encode(newer)) == message


def test_unknown_fields_of_nested_parts_are_ignored() -> None:
    """A newer writer may also add to the result and to the context."""
    newer = as_map(EXAMPLES[3])
    newer["result"]["added"] = 1
    newer["learning_context"]["added"] = 1

    assert decode_body(msgspec.msgpack.encode(newer)) == EXAMPLES[3]


@pytest.mark.fault(item="F47")
def test_an_unknown_type_is_nothing_rather_than_an_error() -> None:
    """A newer writer may send new types, which older readers pass over."""
    assert decode_body(msgspec.msgpack.encode({"type": "job.teleported", "job_id": 3})) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job_id", 3),
        ("attempt", "1"),
        ("queued_at", None),
        ("result", []),
        ("config", {"deep": {"er": {1: 2}}}),
        ("learning_context", "none"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field: str, value: object) -> None:
    """The error says which field is wrong."""
    broken = as_map(EXAMPLES[3]) | {field: value}

    with pytest.raises(InvalidInputError, match=f"^{field}"):
        decode_body(msgspec.msgpack.encode(broken))


def test_a_missing_field_is_named() -> None:
    """A known type without one of its fields is an error, not an unknown type."""
    broken = as_map(EXAMPLES[0])
    del broken["stage"]

    with pytest.raises(InvalidInputError, match=r"^stage: missing"):
        decode_body(msgspec.msgpack.encode(broken))


@pytest.mark.parametrize("index", [-1, 1 << 70, 3])
def test_any_integer_is_taken_as_a_variant_index(index: int) -> None:
    """Whether an index fits the plan is judged, and reported, by the learning service."""
    with_index = as_map(EXAMPLES[3])
    if index.bit_length() < INT64_MAX.bit_length():
        with_index["learning_context"]["variant_index"] = index
    message = decode_body(msgspec.msgpack.encode(with_index))

    assert isinstance(message, JobCompleted)
    assert message.learning_context is not None
    assert message.learning_context.variant_index in (index, GRID.variant_index)


@given(st.binary(max_size=64))
def test_random_bytes_are_an_input_error_or_nothing(body: bytes) -> None:
    """Garbage never raises anything but InvalidInputError."""
    try:
        message = decode_body(body)
    except InvalidInputError:
        return
    assert message is None or isinstance(message, get_args(Message))


@given(st.sampled_from(EXAMPLES), st.data())
def test_a_message_with_flipped_bytes_is_an_input_error_or_a_message(message: Message, data: st.DataObject) -> None:
    """Damage to a real message never raises anything but InvalidInputError."""
    body = bytearray(encode_body(message))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_body(bytes(body))
    except InvalidInputError as error:
        assert str(error)  # noqa: PT017 - whether it is raised depends on the damage
