"""Programs that score: kept for many pictures, asked again after a failure, ended with all their children."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline_runner.scoring import kept, talk
from pipeline_runner.scoring.kept import KeptScorer
from pipeline_runner.scoring.lines import Question
from pipeline_runner.scoring.talk import ScorerError, StoppedError
from tests.support.helpers import PATIENCE, TIME_FACTOR, is_gone, wait_until
from tests.support.scorers import GOOD, asked, program

Open = Callable[[str], KeptScorer]
SECONDS = PATIENCE * TIME_FACTOR


@pytest.fixture
def scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Return the means to start a scorer that does something for each question; none of them is left."""
    monkeypatch.setattr(kept, "REST_SECONDS", (0.01, 0.02))
    made: list[KeptScorer] = []
    numbers = iter(range(100))

    def make(body: str) -> KeptScorer:
        made.append(
            KeptScorer("it", program(tmp_path, body), ["value"], lambda: tmp_path / "work" / str(next(numbers)))
        )
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert not [process for process, _ in asked(tmp_path) if psutil.pid_exists(int(process))]
    assert not list((tmp_path / "work").glob("*"))


def ask(one: KeptScorer, *jobs: str, seconds: float = SECONDS) -> float:
    """Return the mean of some questions."""
    questions = [Question(path="/x.png", job_id=job) for job in jobs or ("job",)]
    return one.means(questions, seconds, lambda: False)["value"]


def processes(folder: Path) -> int:
    """Count the processes that were asked."""
    return len({process for process, _ in asked(folder)})


def test_one_process_answers_for_many_pictures(scorer: Open, tmp_path: Path) -> None:
    """A job of several pictures has their mean."""
    one = scorer('answer({"value": number})')

    assert ask(one, "a", "b") == 1.5
    assert ask(one, "c") == 3
    assert processes(tmp_path) == 1


def test_a_program_for_one_picture_is_started_for_each(scorer: Open, tmp_path: Path) -> None:
    """It ends well after its answer, at once or while it is asked for the next one: neither is a failure."""
    for wait in (0, 0.2):
        one = scorer(f'answer({{"value": 2}}); sys.stdout.close(); time.sleep({wait}); os._exit(0)')
        assert [ask(one), ask(one), ask(one)] == [2, 2, 2]
    assert processes(tmp_path) == 6


def test_what_it_prints_beside_is_passed_over(scorer: Open) -> None:
    """As libraries do, on stdout and stderr, also much of it; an answer needs no flush in Python."""
    body = 'sys.stderr.write("x" * 500_000); print("Loading"); print(); print(json.dumps({"value": 1}))'
    one = scorer(body)

    assert [ask(one), ask(one)] == [1, 1]


@pytest.mark.fault(item="F183")
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('sys.exit("no model")', "it ended with exit status 1: no model"),
        ("os.kill(os.getpid(), 9)", "it ended with signal 9"),
        ('answer({"error": "out of memory"})', "out of memory"),
        ('answer({"other": 1})', "its answer has no 'value': it is not there"),
        ('print("x" * 70_000); time.sleep(60)', "it has printed 65536 bytes and no answer"),
        ("sys.stdout.close(); os.close(1); time.sleep(60)", "it has closed its stdout"),
    ],
)
def test_a_failure_is_tried_again_in_a_fresh_process(
    scorer: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, told: str
) -> None:
    """Three times; the reason is told, with the end of stderr. From then on once, until it works again."""
    if "sleep" in body:
        monkeypatch.setattr(talk, "END_SECONDS", 0.1)
    one = scorer(f"if total < 5:\n    {body}\nelse:\n    {GOOD}")

    with pytest.raises(ScorerError, match=told):
        ask(one)
    assert processes(tmp_path) == 3
    with pytest.raises(ScorerError, match=told):
        ask(one)
    assert processes(tmp_path) == 4
    assert ask(one) == 0.5


def test_a_failure_that_passes_costs_nothing(scorer: Open, tmp_path: Path) -> None:
    """The second process answers."""
    one = scorer(f"if total < 2:\n    sys.exit(1)\n{GOOD}")

    assert ask(one) == 0.5
    assert processes(tmp_path) == 2


@pytest.mark.fault(item="F183")
def test_an_answer_too_many_is_not_that_of_the_next_picture(scorer: Open, tmp_path: Path) -> None:
    """It is asked for that one in a fresh process."""
    one = scorer('print(json.dumps({"value": 1}) + "\\n" + json.dumps({"value": 99}), flush=True)')

    assert [ask(one), ask(one), ask(one)] == [1, 1, 1]
    assert processes(tmp_path) == 3


def test_half_of_an_answer_too_many_is_noticed_too(scorer: Open, tmp_path: Path) -> None:
    """Its rest may come when the next picture has been asked for."""
    half = 'sys.stdout.write(json.dumps({"value": total}) + "\\n" + json.dumps({"value": -1})); sys.stdout.flush()'
    one = scorer(f"{half}; time.sleep(0.2); print(flush=True)")

    assert [ask(one), ask(one)] == [1, 2]
    assert processes(tmp_path) == 2


def test_no_answer_in_time_ends_it(scorer: Open, tmp_path: Path) -> None:
    """With the hint of what is mostly the matter."""
    one = scorer("time.sleep(600)")

    with pytest.raises(ScorerError, match=r"no answer within 0\.3 s \(score.timeout_seconds\); each answer has to be"):
        ask(one, seconds=0.3)
    assert len(asked(tmp_path)) <= 3


def test_what_cannot_be_started_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system says it; no descriptor is left open."""
    monkeypatch.setattr(kept, "REST_SECONDS", (0.0, 0.0))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for arguments, told in ((("/no/such",), "cannot start '/no/such'"), (("a\0b",), "cannot start")):
        one = KeptScorer("it", arguments, ["value"], lambda: tmp_path / "work")
        with pytest.raises(ScorerError, match=told):
            ask(one)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before  # of others some may be closed meanwhile


def test_who_waits_no_more_ends_it_with_its_children(scorer: Open, tmp_path: Path) -> None:
    """Within a moment, whether it is being asked or another one is."""
    one = scorer(
        'import subprocess\nchild = subprocess.Popen(["sleep", "600"])\n'
        'open("' + str(tmp_path / "child") + '", "w").write(str(child.pid))\ntime.sleep(600)'
    )
    stopped, ends = threading.Event(), list[str]()

    def wait() -> None:
        try:
            one.means([Question(path="/x.png")], SECONDS, stopped.is_set)
        except StoppedError:
            ends.append("stopped")

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), what="the child")
    child = int((tmp_path / "child").read_text())
    began = time.monotonic()
    stopped.set()
    for thread in threads:
        thread.join(SECONDS)

    assert ends == ["stopped", "stopped"]
    assert time.monotonic() - began < 2 * TIME_FACTOR
    wait_until(lambda: is_gone(child), what="its end")


def test_a_process_that_nobody_needs_ends(scorer: Open, tmp_path: Path) -> None:
    """And is started again when it is needed."""
    one = scorer(GOOD)
    ask(one)
    assert not one.is_idle(time.monotonic() - 60)
    assert one.is_idle(time.monotonic())
    one.close(idle_since=time.monotonic() - 60)
    assert psutil.pid_exists(int(asked(tmp_path)[0][0]))

    one.close(idle_since=time.monotonic())

    assert not psutil.pid_exists(int(asked(tmp_path)[0][0]))
    assert ask(one) == 0.5


def test_a_question_of_any_size_is_written(scorer: Open) -> None:
    """A configuration may be larger than a pipe, and its program may read late."""
    one = scorer('time.sleep(0.1)\nanswer({"value": len(asked["prompt"])})')
    question = Question(path="/x.png", prompt="x" * 300_000)

    assert one.means([question], SECONDS, lambda: False) == {"value": 300_000}
    assert talk.PART_BYTES < 300_000
