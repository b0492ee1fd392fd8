"""The protocol of scorers: what is asked, and what counts as an answer."""

import json

import pytest

from pipeline_runner.scoring.lines import Answer, Question, decode_question, encode_question, read_answer


def test_a_question_is_one_line_of_json() -> None:
    """What is not known is left out; a new line in a prompt does not end it."""
    question = Question(path="/a.png", job_id="j", prompt="a\nstar", seed=2**64 - 1, config={"steps": 4})

    line = encode_question(question)

    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "path": "/a.png",
        "job_id": "j",
        "prompt": "a\nstar",
        "seed": 2**64 - 1,
        "config": {"steps": 4},
    }
    assert decode_question(line) == question


@pytest.mark.parametrize("line", [b"", b"Loading model ...", b"[1]", b"0.5", b'"x"'])
def test_what_a_library_prints_is_no_answer(line: bytes) -> None:
    """The answer comes behind it."""
    assert read_answer(line, ["clip"]) is None


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b'{"clip": 0.25, "more": "words"}', Answer({"clip": 0.25}, "")),
        (b' {"clip": 1}\r', Answer({"clip": 1.0}, "")),
        (b'{"error": "no face"}', Answer({}, "no face")),
        (b'{"error": ""}', Answer({}, "it gives no reason")),
        (b"{'clip': 0.25}", Answer({}, "its answer is no JSON: {'clip': 0.25}")),
        (b"{" + b'"a":{' * 5000, Answer({}, "its answer is no JSON: " + ('{"a"' + ':{"a"' * 60)[:300])),
    ],
)
def test_a_map_is_an_answer(line: bytes, answer: Answer) -> None:
    """Other keys do not matter; what is wrong is told."""
    found = read_answer(line, ["clip"])
    assert found is not None
    assert (found.metrics, found.problem[:40]) == (answer.metrics, answer.problem[:40])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("NaN", "is no finite number"),
        ('"0.5"', "is no finite number"),
        ("true", "is no finite number"),
        ("9" * 400, "is no finite number"),
        (None, "is not there"),
    ],
)
def test_a_number_that_is_none_is_named(value: str | None, told: str) -> None:
    """With an example of what is expected; the others count all the same."""
    line = '{"look": 5}' if value is None else f'{{"look": 5, "clip": {value}}}'
    found = read_answer(line.encode(), ["clip", "look"])
    assert found is not None
    assert found.metrics == {"look": 5.0}
    assert found.problem == f'its answer has no \'clip\': it {told}; expected for example {{"clip": 0.5, "look": 0.5}}'


def test_a_metric_may_be_called_error() -> None:
    """Then it is a number like any other."""
    assert read_answer(b'{"error": 0.5}', ["error"]) == Answer({"error": 0.5}, "")


def test_a_reason_can_be_put_into_a_message() -> None:
    """JSON may have half a surrogate, which no message can carry."""
    found = read_answer(b'{"error": "no \\ud800 model"}', ["clip"])
    assert found is not None
    assert found.problem == "no ? model"
