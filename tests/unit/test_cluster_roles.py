"""What each role may do at the servers of a cluster."""

from typing import Final

from variantbus.cluster.roles import ROLES

BY_NAME: Final = {role.name: role for role in ROLES}


def covers(allowed: str, subject: str) -> bool:
    """Return whether a subject, or a pattern of subjects, is among those of another pattern, as the servers read it."""
    mine, theirs = allowed.split("."), subject.split(".")
    for place, word in enumerate(mine):
        if word == ">":
            return len(theirs) > place
        if place >= len(theirs) or word not in ("*", theirs[place]):
            return False
    return len(mine) == len(theirs)


def test_a_learning_service_may_all_that_a_runner_may() -> None:
    """`variantbus up` starts both, and is given one file."""
    learning, runner = BY_NAME["learning"], BY_NAME["runner"]

    for subject in runner.publish:
        assert any(covers(one, subject) for one in learning.publish), subject
    for subject in runner.hear:
        assert any(covers(one, subject) for one in learning.hear), subject


def test_a_runner_may_not_all_that_a_learning_service_may() -> None:
    """It does not write the ledger, and hears nobody's progress."""
    learning, runner = BY_NAME["learning"], BY_NAME["runner"]

    assert not all(any(covers(one, subject) for one in runner.publish) for subject in learning.publish)
    assert not all(any(covers(one, subject) for one in runner.hear) for subject in learning.hear)
