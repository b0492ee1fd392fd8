"""What a page of a large experiment costs: the bytes that it loads, and the processor time of a key that rates."""

import re
from hashlib import sha256
from typing import Final

from playwright.sync_api import Page, Request, expect

from bus.contracts.archive import PictureRecord, RatingRecord, Records, ResultRecord
from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.messages import ImageRef
from learning_service.experiments.plan import PlannedJob, job_id
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, deployment
from tests.browser.test_feed import WITHOUT_WORKERS
from tests.support.generated_pictures import png
from tests.support.helpers import TIME_FACTOR, wait_until
from variantbus.cli.archive import send
from variantbus.reports.export import Exported

__all__ = ["deployment"]
NAME: Final = "large"
VALUES, SEEDS, RATED = 100, 20, 200
KEYS: Final = 10
LOADED: Final = 300_000  # bytes
KEY_MS: Final = 10.0
PARTS: Final = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")


# presses a key once the picture has been seen, and waits until it counts
RATE: Final = """async (keys) => {
  const facts = document.querySelector(".rating .facts");
  const until = (is) => new Promise((done) => {
    const look = () => { if (is()) { observer.disconnect(); done(); } };
    const observer = new MutationObserver(look);
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    observer.observe(document.querySelector(".rating"), all);
    look();
  });
  for (let key = 0; key < keys; key += 1) {
    await until(() => document.querySelector(".rating .reject")?.getAttribute("aria-disabled") === "false");
    const before = facts.textContent;
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "4", bubbles: true }));
    await until(() => facts.textContent !== before);
  }
}"""


def large() -> Exported:
    """Make an experiment of 2,000 pictures, some of which are rated."""
    results, pictures = [], []
    for index in range(VALUES):
        for repeat in range(SEEDS):
            job = job_id(NAME, PlannedJob(index, repeat))
            name = sha256(job.encode()).hexdigest()
            image = ImageRef(sha256=name, path=f"{NAME}/{name}.png", width=512, height=512, seed=repeat)
            metrics = {"prompt_match": int(name[:8], 16) / 2**32}
            at = 1e9 + repeat / 7
            results.append(
                ResultRecord(
                    job_id=job,
                    variant_index=index,
                    repeat_index=repeat,
                    state="completed",
                    finished_at=at,
                    seconds=1 / 3,
                    metrics=metrics,
                )
            )
            pictures.append(PictureRecord(job_id=job, variant_index=index, repeat_index=repeat, image=image))
    ratings = [RatingRecord(sha256=one.image.sha256, stars=3, rated_at=1e9) for one in pictures[:: 2000 // RATED]]
    values = [number / 10 for number in range(VALUES)]
    return Exported(
        experiment_id=NAME,
        created_at=1e9,
        definition=ExperimentDefinition(
            name="Large", variable=Variable(name="cfg_scale", values=list(values)), jobs_per_variant=SEEDS
        ),
        values=list(values),
        records=Records(results=results, pictures=pictures, ratings=ratings),
    )


def test_a_large_experiment_is_light(page: Page, deployment: Deployment) -> None:
    """The answer of 100 values with 20 pictures each: at most 300 kB over the wire; at most 10 ms for each star."""
    send(deployment.learning.control, large(), None)
    page.add_init_script(WITHOUT_WORKERS)
    page.route("**/images/**", lambda route: route.fulfill(body=png(), content_type="image/png"))
    loaded: dict[str, int] = {}  # what is loaded again counts once

    def note(request: Request) -> None:
        if "/api/experiments/" in request.url:
            loaded[request.url] = request.sizes()["responseBodySize"]

    page.on("requestfinished", note)
    deployment.open(page, f"e/{NAME}/answer")
    expect(page.locator("table tbody tr").first).to_be_visible(timeout=WAIT)
    wait_until(lambda: page.evaluate("1") and loaded, what="the size of the answer, which may come after its rows")
    assert 0 < sum(loaded.values()) <= LOADED

    deployment.open(page, f"e/{NAME}/rate")
    facts = page.locator(".rating .facts")
    expect(facts).to_have_text(re.compile(rf"^{RATED} of "), timeout=WAIT)
    session = page.context.new_cdp_session(page)
    # of the page alone: the older `Performance.setTimeDomain` is answered, and wall time is measured all the same
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return sum(float(one["value"]) for one in found if one["name"] in PARTS)

    before = spent()
    page.evaluate(RATE, KEYS)
    ms = 1000 * (spent() - before) / KEYS
    assert ms <= KEY_MS * TIME_FACTOR, f"{ms:.1f} ms a key; {sum(loaded.values())} bytes"
