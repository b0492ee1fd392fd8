"""The judge of bit flips says that something is wrong where it is, and only there."""

import pytest

from tests.bitflips.facts import REFUSED, Facts, Key
from tests.bitflips.judge import Ended, Expected, Judge, Observed, Verified

WELL = Ended(0, "", asked=True)
SAID = Ended(0, "2026-01-01 runner ERROR 1 row of jobs is damaged\n", asked=True)
GONE = Ended(4, "Error: runner.db is damaged; restore it\n", asked=False)
FACTS: Facts = {
    ("runner", "event", "1"): ("job.queued.", 1, b"body"),
    ("job", "ended-1.0.0.0", "state"): "completed",
    ("job", "ended-1.0.0.0", "config", "level"): 1,
    ("job", "open-1.0.0.0", "state"): "completed",
    ("job.list", "ended-1.0.0.0", "state"): "completed",
    ("ratings", "ended-1", "aa", "stars"): 4,
    ("learning", "event", "1"): ("experiment.status.", 1, b"body"),
}


def judged(
    changes: Facts | None = None,
    *,
    without: tuple[Key, ...] = (),
    runner: Ended = WELL,
    learning: Ended = WELL,
    verified: int = 4,
) -> str:
    """Return the judgement of a trial in which some facts were others, or gone; and verify had this status."""
    expected = Expected(FACTS, {"runner": 1, "learning": 1}, {"runner": [[7, 0]], "learning": [[8, 0]]})
    facts = {key: value for key, value in FACTS.items() if key not in without} | (changes or {})
    return (
        Judge(expected, Observed(facts, {"runner": runner, "learning": learning}, Verified(verified, "")))
        .verdict()
        .kind
    )


def test_what_is_equal_is_right() -> None:
    """Nothing was changed, or only named."""
    assert judged() == "right"
    assert judged(runner=SAID) == "named"


@pytest.mark.parametrize("key", list(FACTS))
def test_what_is_gone_has_to_be_named(key: Key) -> None:
    """A thing that is not served is wrong unless the log or the reply says so; a job that waited has to end."""
    assert judged(without=(key,)) == "WRONG"
    assert judged(without=(key,), runner=SAID) == ("WRONG" if key[1] == "open-1.0.0.0" else "named")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("runner", "event", "1"), ("job.queued.", 2, b"body")),
        (("job", "ended-1.0.0.0", "config", "level"), 3),
        (("job", "ended-1.0.0.0", "config", "level"), True),
        (("ratings", "ended-1", "aa", "stars"), 5),
        (("ratings", "ended-1", "bb", "stars"), 4),
        (("job.list", "fnded-1.0.0.0", "state"), "completed"),
    ],
)
def test_another_value_is_wrong_whatever_is_said(key: Key, value: object) -> None:
    """A setting, an event or a rating that never was is served."""
    assert judged({key: value}, runner=SAID) == "WRONG"


def test_a_refusal_is_a_sentence_with_its_status() -> None:
    """A service may refuse its files; a traceback, another status and a service that hangs are wrong."""
    assert judged(runner=GONE, without=(("job", "ended-1.0.0.0", "state"),)) == "refused"
    assert judged(runner=Ended(1, "", asked=False)) == "WRONG"
    assert judged(runner=Ended(3, GONE.errors, asked=False)) == "WRONG"
    assert judged(runner=Ended(-6, "", asked=False)) == "WRONG"
    assert judged(runner=Ended(4, "Traceback (most recent call last):\n" + GONE.errors, asked=False)) == "WRONG"
    assert judged(runner=Ended(None, "", asked=True)) == "WRONG"


def test_one_thing_that_is_damaged_costs_no_other() -> None:
    """A reply that names an event or a job as damaged is right; an internal error is not."""
    event: Key = ("runner", "event", "1")
    assert judged({("runner", "damaged", "1"): True}, without=(event,)) == "named"
    state: Key = ("job", "ended-1.0.0.0", "state")
    assert (
        judged({("job", "ended-1.0.0.0", REFUSED): "conflict: job ended-1.0.0.0 is damaged"}, without=(state,))
        == "named"
    )
    assert judged({("job", "ended-1.0.0.0", REFUSED): "internal: failed; see the log"}, without=(state,)) == "WRONG"


def test_verify_has_to_name_what_is_not_harmless() -> None:
    """Where all is served right, `variantbus verify` may find something or not."""
    assert judged(verified=0) == judged(verified=4) == "right"
    assert judged(runner=SAID, verified=0) == "WRONG"
    assert judged(verified=1) == "WRONG"
