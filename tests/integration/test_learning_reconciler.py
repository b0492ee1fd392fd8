"""What a runner's log can no longer tell, the learning service asks the runner for: nothing of a job's end is lost."""

from bus.contracts.messages import EventRejected
from bus.protocol.control import ControlError
from tests.support.factories import JobScript, badly, messages
from tests.support.helpers import wait_until
from tests.support.learning_services import ALL, ScriptedRunner, Services, create, query, show, wait_confirmed, wait_for


def away(services: Services) -> ScriptedRunner:
    """Return a runner whose learning service has planned two jobs and gone away before they ended."""
    runner = services.scripted()
    learning = services.learning(runner.address)
    create(learning)
    wait_confirmed(learning)
    runner.publish(JobScript(None).queued())
    wait_until(lambda: query(learning, 'SELECT max("offset") FROM positions') == [(1,)], what="the first event")
    learning.stop()
    return runner


def test_the_ends_that_retention_took_are_asked_for(services: Services) -> None:
    """Each is counted once; a job that still runs is left to its event."""
    runner = away(services)
    runner.finish(ALL[0])
    runner.publish(*(JobScript(None, f"alone-{number}").queued() for number in range(5)))
    runner.forget()

    learning = services.learning(runner.address)

    wait_until(lambda: show(learning).totals.completed == 1, what="the end of the first job")
    wait_until(lambda: query(learning, "SELECT runner FROM reconciles") == [], what="the end of the questions")
    assert sorted(runner.shown) == ALL
    runner.finish(ALL[1], badly())
    runner.finish(ALL[0])  # as if it came late: it counts no second time
    ended = wait_for(learning, "partial")
    assert (ended.totals.completed, ended.totals.failed) == (1, 1)


def test_a_damaged_end_is_asked_for(services: Services) -> None:
    """The record cannot be read; its offset is published, and the runner says what it was."""
    runner = away(services)
    runner.finish(ALL[0])
    runner.service.call(
        lambda: runner.service.log._db.execute("UPDATE log SET crc = crc + 1 WHERE topic LIKE '%exp-1%'")
    )

    learning = services.learning(runner.address)

    wait_until(lambda: show(learning).totals.completed == 1, what="the end of the first job")
    rejected = messages(learning.call(lambda: learning.service.publisher._log.fetch("event.rejected.", 0).records))
    assert [one.reason for one in rejected if isinstance(one, EventRejected)] == ["damaged_record"]


def test_the_questions_go_on_after_a_restart(services: Services) -> None:
    """The position has moved on by then, so nothing but the note on disk tells that there is something to ask."""
    runner = away(services)
    runner.finish(ALL[0])
    runner.publish(*(JobScript(None, f"alone-{number}").queued() for number in range(5)))
    runner.forget()
    known, runner.views = runner.views, _Silent()
    runner.publish(JobScript(None, "after").queued())
    learning = services.learning(runner.address)
    wait_until(lambda: runner.shown, what="the first question")
    wait_until(lambda: query(learning, 'SELECT max("offset") FROM positions') == [(8,)], what="the last event")
    assert show(learning).totals.completed == 0
    learning.stop()

    runner.views = known
    learning = services.learning(runner.address)

    wait_until(lambda: show(learning).totals.completed == 1, what="the end of the first job")
    wait_until(lambda: query(learning, "SELECT runner FROM reconciles") == [], what="the end of the questions")


class _Silent(dict):  # type: ignore[type-arg]  # it holds nothing
    """Jobs of a runner that cannot look them up now."""

    def __contains__(self, _name: object) -> bool:
        """Refuse to say."""
        raise ControlError("unavailable", "the disk is busy")
