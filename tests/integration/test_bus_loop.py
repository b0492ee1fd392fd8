"""The event loop: timers, calls from other threads, signals."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from bus.transport.loop import Loop
from tests.support.helpers import PATIENCE, TIME_FACTOR, deadline, wait_until

TICK = 0.005


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield both ends of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def run_until(loop: Loop, seen: list[str], count: int) -> None:
    """Step until so much has been seen."""
    limit = deadline()
    while len(seen) < count:
        assert not limit.passed, f"only {seen}"
        loop.step(limit.left)


def test_timers_are_called_in_the_order_in_which_they_are_due(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order in which they were made; with the same moment, the older one first."""
    seen: list[str] = []
    now = time.monotonic()
    with monkeypatch.context() as at_one_moment:
        at_one_moment.setattr(time, "monotonic", lambda: now)
        loop.later(2 * TICK, lambda: seen.append("second"))
        loop.later(TICK, lambda: seen.append("first"))
        loop.later(0, lambda: seen.append("at once"))

    run_until(loop, seen, 3)

    assert seen == ["at once", "first", "second"]


def test_a_repeated_timer_is_called_until_it_is_cancelled(loop: Loop) -> None:
    """Also when it cancels itself."""
    seen: list[str] = []

    def tick() -> None:
        seen.append("tick")
        if len(seen) == 3:
            timer.cancel()

    timer = loop.every(TICK, tick)
    run_until(loop, seen, 3)
    loop.later(3 * TICK, lambda: seen.append("end"))
    run_until(loop, seen, 4)

    assert seen == ["tick", "tick", "tick", "end"]


def test_a_cancelled_timer_is_not_called(loop: Loop) -> None:
    """Even if it is due already."""
    seen: list[str] = []
    timer = loop.later(0, lambda: seen.append("cancelled"))
    loop.later(TICK, lambda: seen.append("end"))
    timer.cancel()

    run_until(loop, seen, 1)

    assert seen == ["end"]


def test_a_step_ends_after_its_timeout(loop: Loop) -> None:
    """Nothing to do is no reason to stay."""
    limit = deadline()
    loop.step(TICK)

    assert not limit.passed


def test_a_call_from_another_thread_wakes_the_loop(loop: Loop) -> None:
    """It runs in the loop's thread, soon."""
    seen: list[str] = []
    caller = threading.Thread(target=lambda: loop.call(lambda: seen.append(threading.current_thread().name)))
    caller.start()

    run_until(loop, seen, 1)
    caller.join()

    assert seen == [threading.current_thread().name]


def test_more_calls_than_the_pipe_holds_are_all_made(loop: Loop) -> None:
    """Wake-ups are worth one each, not the calls."""
    seen: list[str] = []
    for number in range(70_000):
        loop.call(lambda number=number: seen.append(str(number)))  # type: ignore[misc]  # a default is no cell

    run_until(loop, seen, 70_000)

    assert seen == [str(number) for number in range(70_000)]


def test_no_wake_up_is_lost_while_many_threads_call(loop: Loop) -> None:
    """Each thread waits for its own call before it makes the next one, so one that is lost stands still forever."""
    rounds, threads = 500, 8
    done: list[int] = []

    def work() -> None:
        for _ in range(rounds):
            answered = threading.Event()
            loop.call(answered.set)
            if not answered.wait(PATIENCE * TIME_FACTOR):
                return
        done.append(rounds)
        loop.call(lambda: None)  # or the loop would not see at once that the last one is done

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    limit = deadline(60)
    while len(done) < threads and not limit.passed:
        loop.step(PATIENCE)
    for worker in workers:
        worker.join(limit.left)

    assert len(done) == threads


def test_a_call_made_by_a_call_waits_for_the_next_step(loop: Loop) -> None:
    """So that calls cannot keep the sockets waiting."""
    seen: list[str] = []

    def one() -> None:
        seen.append("one")
        loop.call(lambda: seen.append("two"))

    loop.call(one)
    run_until(loop, seen, 1)
    assert seen == ["one"]

    run_until(loop, seen, 2)


def test_a_call_to_a_closed_loop_does_nothing_and_harms_no_other_file() -> None:
    """The number of the closed pipe may belong to another file by now."""
    loop = Loop()
    loop.close()
    ends = [os.pipe() for _ in range(4)]
    try:
        loop.call(lambda: None)
        for read, _ in ends:
            os.set_blocking(read, False)
            with pytest.raises(BlockingIOError):
                os.read(read, 1)
    finally:
        for end in (end for pair in ends for end in pair):
            os.close(end)


def test_a_loop_may_be_closed_twice_and_harms_no_other_file() -> None:
    """The second time its descriptors may be those of somebody else."""
    loop = Loop()
    loop.close()
    read_end, write_end = os.pipe()  # takes the numbers that were just released

    loop.close()

    os.close(read_end)
    os.close(write_end)


def test_a_loop_may_be_stopped_and_closed_while_the_call_that_stops_it_is_still_being_made() -> None:
    """Whoever stops a loop from another thread need not care how fast that ends."""
    for _ in range(200):
        loop = Loop()

        def run(loop: Loop = loop) -> None:
            loop.run()
            loop.close()

        runner = threading.Thread(target=run)
        runner.start()
        for _ in range(3):
            loop.call(loop.stop)
        runner.join(10 * TIME_FACTOR)
        assert not runner.is_alive()


def test_a_readable_file_is_reported_until_it_is_removed(loop: Loop, pipe: tuple[int, int]) -> None:
    """And never after that."""
    seen: list[str] = []
    loop.add(pipe[0], lambda: seen.append(os.read(pipe[0], 1).decode()))
    os.write(pipe[1], b"ab")
    run_until(loop, seen, 2)
    loop.remove(pipe[0])
    loop.remove(pipe[0])
    os.write(pipe[1], b"c")
    loop.step(TICK)

    assert seen == ["a", "b"]


def test_a_reader_may_be_removed_by_another_reader_of_the_same_turn(loop: Loop) -> None:
    """Both are readable, and the first closes the second."""
    pipes = [os.pipe(), os.pipe()]
    seen: list[int] = []

    def close_the_other(index: int) -> None:
        seen.append(index)
        loop.remove(pipes[0][0])
        loop.remove(pipes[1][0])

    for index, (read, write) in enumerate(pipes):
        loop.add(read, lambda index=index: close_the_other(index))  # type: ignore[misc]  # a default is no cell
        os.write(write, b"x")
    loop.step(TICK)
    for end in (end for pair in pipes for end in pair):
        os.close(end)

    assert len(seen) == 1


def test_stop_ends_the_run(loop: Loop) -> None:
    """From a callback, or from another thread by a call."""
    runner = threading.Thread(target=loop.run)
    runner.start()
    loop.call(loop.stop)
    runner.join(10 * TIME_FACTOR)

    wait_until(lambda: not runner.is_alive())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_and_its_handler_is_put_back(number: signal.Signals) -> None:
    """It is an orderly end, no exception and no exit."""
    before = signal.getsignal(number)
    loop = Loop()
    loop.handle_signals()
    loop.later(0, lambda: os.kill(os.getpid(), number))
    loop.run()
    loop.close()

    assert signal.getsignal(number) is before
