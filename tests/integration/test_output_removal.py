"""The runner's methods that remove results, over the control socket."""

from typing import Any

import msgspec
import pytest

from bus.contracts.outputs import OutputFindReply, OutputOwner, OutputOwnersReply, OutputRemoveReply, OutputSweepReply
from tests.support.factories import context
from tests.support.helpers import wait_until
from tests.support.painting_runner import PaintingRunner, picture


def test_owners_are_told_page_by_page(painting_runner: PaintingRunner) -> None:
    """First what belongs to no experiment, then each experiment, in order; those that are at work are left out."""
    for name, owner in (("a", None), ("b", "exp-1"), ("c", "exp-1"), ("d", "exp-10"), ("e", "exp-2")):
        painting_runner.paint(name, context(experiment=owner) if owner else None)
    crc = "row_crc('jobs', number, job_id, experiment_id, pipeline, priority, 'running', record)"
    busy = f"UPDATE jobs SET state = 'running', crc = {crc} WHERE job_id = 'd'"  # noqa: S608 - no input of others
    painting_runner.runner.call(lambda: painting_runner.runner.log.query(busy))
    found: list[OutputOwner] = []
    after: str | None = None
    for _ in range(4):
        params = {"ended_before": 2.0**40, "after": after, "limit": 1}
        page = painting_runner.ask("output.owners", params, OutputOwnersReply)
        found, after = found + page.owners, page.after
    size = len(picture())

    assert after is None
    assert [(one.experiment_id, one.jobs, one.files, one.bytes) for one in found] == [
        (None, 1, 1, size),
        ("exp-1", 2, 1, size),
        ("exp-2", 1, 1, size),
    ]
    assert painting_runner.ask("output.owners", {"ended_before": 1.0}, OutputOwnersReply).owners == []


def test_results_are_removed_and_not_found_any_more(painting_runner: PaintingRunner) -> None:
    """Those that the request names; and a job of that id can be submitted and run again."""
    gone, left = painting_runner.paint("a"), painting_runner.paint("b", context())
    painting_runner.painter.data = [b"other"]
    other = painting_runner.paint("c", context(experiment="exp-2"))

    reply = painting_runner.ask(
        "output.remove", {"ended_before": 2.0**40, "outside": True, "experiment_ids": ["exp-2"]}, OutputRemoveReply
    )

    assert msgspec.to_builtins(reply) == {"files": 2, "bytes": len(picture()) + 5, "jobs": 2, "more": False, "busy": []}
    assert painting_runner.output(left.sha256).data == picture()
    assert not (painting_runner.root / gone.path).exists()
    assert painting_runner.refusal("output", sha256=other.sha256)[0] == "not_found"
    assert painting_runner.refusal("job.show", job_id="a")[0] == "not_found"
    painting_runner.submit("c", context(experiment="exp-2"))
    wait_until(
        lambda: painting_runner.ask("output.find", {"prefix": other.sha256}, OutputFindReply).outputs, what="its end"
    )
    assert painting_runner.output(other.sha256).data == b"other"


def test_a_sweep_leaves_what_is_new(painting_runner: PaintingRunner) -> None:
    """The method does as asked; a file of the last hour may be that of a job which is about to end."""
    painting_runner.paint()
    lone = painting_runner.root / "exp-9" / "variant-00_x" / f"{'0' * 64}.png"
    lone.parent.mkdir(parents=True)
    lone.write_bytes(b"lone")

    swept = painting_runner.ask("output.sweep", {}, OutputSweepReply)

    assert msgspec.to_builtins(swept) == {"files": 0, "bytes": 0, "after": None}
    assert painting_runner.ask("output.sweep", {"limit": 1}, OutputSweepReply).after is not None
    assert lone.exists()


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("output.owners", {}, "ended_before"),
        ("output.owners", {"ended_before": "now"}, "ended_before"),
        ("output.owners", {"ended_before": 1.0, "limit": 0}, "limit"),
        ("output.remove", {"ended_before": 1.0, "limit": 1001}, "limit"),
        ("output.remove", {"ended_before": 1.0, "experiment_ids": [7]}, "experiment_ids"),
        ("output.remove", {"ended_before": 1.0, "experiment_ids": ["x"] * 1001}, "experiment_ids"),
        ("output.remove", {"outside": True}, "ended_before"),
        ("output.sweep", {"after": 7}, "after"),
        ("output.sweep", {"dry_run": "yes"}, "dry_run"),
        ("output.sweep", {"path": "/"}, "path"),
    ],
)
def test_bad_requests_to_remove_are_refused(
    painting_runner: PaintingRunner, method: str, params: dict[str, Any], field: str
) -> None:
    """The sentence begins with the field, and nothing goes."""
    image = painting_runner.paint()

    code, text = painting_runner.refusal(method, **params)

    assert (code, text.startswith(field)) == ("invalid_request", True), text
    assert painting_runner.output(image.sha256).data == picture()
