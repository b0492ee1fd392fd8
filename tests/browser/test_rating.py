"""Rating in a real browser: no key is lost, no picture is rated by accident, and there is an end."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

import variantbus.dashboard
from bus.contracts.feedback import RatedReply, RateParams, RatingListReply
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment, deployment
from tests.support.helpers import wait_until
from tests.support.workspace import Workspace, wait_for_jobs
from variantbus.client.records import export_of

__all__ = ["deployment"]
EXPERIMENT = """
name = "Stars"
pipeline = "embedded"
[variable]
name = "cfg_scale"
{values}
[config]
prompt = "a blue star"
steps = 1
width = 32
height = 32
"""
STATIC = Path(variantbus.dashboard.__file__).parent / "static"
QUEUE = """async () => {
    const { JudgementQueue } = await import("/feedback/queue.js");
    const told = { sent: [], kept: [], ended: [], troubles: [] };
    const answers = [new Error("away"), "one", new Error("refused"), "three"];
    answers[0].isAway = true;
    const done = Promise.withResolvers();
    const queue = new JudgementQueue({
        send: async ({ body }) => {
            told.sent.push(body);
            const answer = answers.shift();
            if (answer instanceof Error) throw answer;
            return answer;
        },
        keep: (waiting) => told.kept.push(waiting.map((one) => one.body)),
        changed: () => queue.trouble && told.troubles.push(queue.trouble),
        ended: ({ entry, reply, error, isAgain }) => {
            told.ended.push([entry.body, reply ?? error.message, Boolean(isAgain)]);
            if (!queue.waiting.length) done.resolve();
        },
        pause: 1e6, // it goes on as it is hurried
    });
    for (const body of [1, 2, 3, 4]) queue.add({ body });
    told.dropped = [queue.drop((one) => one.body === 4), queue.drop((one) => one.body === 1)]; // 1 is under way
    await new Promise((resolve) => setTimeout(resolve));
    queue.hurry();
    await done.promise;
    return told;
}"""

HELD = """async () => {
    const { Held } = await import("/views/rate/held.js");
    let now = 0;
    const held = new Held(() => now);
    for (const answer of [1, 2, null, 4]) {
        held.hold(answer);
        now += 1000;
    }
    const told = [held.undo()];
    now = 5500; // the first one is too old
    told.push(held.take(), held.take(), held.take() ?? "none", held.undo());
    held.hold(5);
    held.drop();
    return [...told, held.take() ?? "none"];
}"""
TOGETHER = """async () => {
    const { state, takeRating, takeComparison } = await import("/data/state.js");
    const { OpenExperiment } = await import("/data/open.js");
    const { rate, ratings, undoLast, compare, lastComparison, undoComparison } = await import("/feedback/judging.js");
    state.open = new OpenExperiment("e", () => {});
    takeRating({ sha256: "before", stars: 3, note: "", rated_at: 1 });
    const told = [undoLast("none of this page")];
    rate("e", "mine", 4);
    takeRating({ sha256: "theirs", stars: 1, note: "", rated_at: 1e10 }); // by a clock that is ahead
    told.push(ratings().at(-1).sha256, undoLast("e"), undoLast("e"));
    compare("e", "a", "b", "left");
    takeComparison({ left: "c", right: "d", outcome: "right", compared_at: Date.now() / 1000 + 3600 });
    const own = lastComparison("e");
    undoComparison("e", own);
    return [...told, own.left, lastComparison("e") ?? "no other"];
}"""

NOTHING_WAITS = "sessionStorage.getItem('judgements that wait') === null"
WAITS = """([experiment, image]) => {
    const entry = { experiment, what: "rate", body: { image, stars: 1, note: "it waited", rated_at: 2e9 } };
    sessionStorage.setItem("judgements that wait", JSON.stringify([entry]));
}"""


def test_judgements_are_sent_in_order_until_each_is_answered(page: Page) -> None:
    """Again where nobody answers, not where it is refused; what was not sent can be dropped, and what waits is kept."""

    def static(route: Route) -> None:
        path = STATIC / route.request.url.split("/", 3)[3]
        if path.is_file():
            route.fulfill(path=path, content_type="text/javascript")
        else:
            route.fulfill(body="<!doctype html>", content_type="text/html")

    page.route("http://judgements.test/**", static)
    page.goto("http://judgements.test/")

    assert page.evaluate(HELD) == [True, 2, None, "none", False, "none"]
    assert page.evaluate(TOGETHER) == ["before", "theirs", "mine", "before", "a", "no other"]
    told = page.evaluate(QUEUE)

    assert told["sent"] == [1, 1, 2, 3]
    assert told["ended"] == [[1, "one", False], [2, "refused", False], [3, "three", False]]
    assert told["troubles"][0] == "away"
    assert told["dropped"] == [True, False]
    assert [1, 2, 3] in told["kept"]
    assert told["kept"][-1] == []


def made(workspace: Workspace, above: str, values: str = "values = [1.25, 2.5]") -> str:
    """Plan an experiment; `above` are lines of its file."""
    text = above + EXPERIMENT.replace("{values}", values)
    return workspace.run("experiment", "run", workspace.write("stars.toml", text)).out.strip()


def kept(deployment: Deployment, experiment_id: str) -> list[tuple[int | None, str]]:
    """Return stars and note of each rated picture, as the learning service has them."""
    reply = deployment.learning.ask("rating.list", {"experiment_id": experiment_id}, RatingListReply)
    return sorted((one.stars, one.note) for one in reply.ratings)


def press(page: Page, keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        page.keyboard.press(key)


def rate_unseen(page: Page, deployment: Deployment, name: str) -> None:
    """Give stars to two pictures that are slow, and take a third one back."""
    pictures: list[Route] = []

    def hold(route: Route) -> None:
        pictures.append(route)

    page.route("**/images/*", hold)
    deployment.open(page, f"e/{name}/rate")
    expect(page.locator(".rating .shot.loading")).to_have_count(1, timeout=WAIT)
    press(page, "121u")
    expect(page.locator(".rating .facts")).to_have_text("0 of 8 rated")
    page.unroute("**/images/*")
    for one in pictures:
        one.continue_()


@pytest.mark.fault(item="F192")
def test_no_key_is_lost_and_none_counts_after_the_end(page: Page, deployment: Deployment) -> None:
    """While a request hangs, and while the learning service is killed; each key is for the picture that was seen."""
    name = made(deployment.workspace, "jobs_per_variant = 4\n")
    wait_for_jobs(deployment.learning, name, 8)
    page.route("**/rate", lambda _: None)  # they hang
    rate_unseen(page, deployment, name)
    facts, stars = page.locator(".rating .facts"), page.get_by_role("button", name="3 stars")
    expect(facts).to_have_text("2 of 8 rated", timeout=WAIT)
    press(page, "345")
    expect(facts).to_have_text("5 of 8 rated", timeout=WAIT)
    deployment.learning.kill()
    page.unroute("**/rate")  # and go on
    expect(page.locator(".trouble")).to_contain_text("5 answers of yours wait", timeout=WAIT)
    note = page.get_by_label("Note")
    note.fill("too dark")
    note.press("Enter")
    expect(note).not_to_be_focused()
    expect(stars).to_be_enabled(timeout=WAIT)
    press(page, "2")
    expect(page.locator(".trouble")).to_contain_text("6 answers of yours wait", timeout=WAIT)
    assert page.evaluate("JSON.parse(sessionStorage.getItem('judgements that wait')).length") == 6
    deployment.learning.start()
    wait_until(lambda: len(kept(deployment, name)) == 6, what="the stars")
    assert kept(deployment, name) == [(1, ""), (2, ""), (2, "too dark"), (3, ""), (4, ""), (5, "")]

    page.keyboard.press("ArrowLeft")
    expect(note).to_have_value("too dark", timeout=WAIT)
    press(page, "5")
    expect(facts).to_have_text("6 of 8 rated")
    expect(stars).to_be_enabled(timeout=WAIT)
    press(page, "x")
    expect(stars).to_be_enabled(timeout=WAIT)
    press(page, "4")
    end = page.locator(".end")
    expect(end).to_contain_text("All 8 are rated", timeout=WAIT)
    expect(end.get_by_role("link", name="See the answer")).to_be_visible()
    press(page, "1111")
    expected = [(1, ""), (1, "rejected"), (2, ""), (3, ""), (4, ""), (4, ""), (5, ""), (5, "too dark")]
    wait_until(lambda: kept(deployment, name) == expected, what="what was said")

    page.keyboard.press("ArrowLeft")
    note.fill("as sharp as I like it")
    note.press("Escape")
    expect(note).not_to_be_focused()
    note.press("Enter")
    wait_until(lambda: (4, "as sharp as I like it") in kept(deployment, name), what="the note")
    assert len(kept(deployment, name)) == 8
    wait_until(lambda: page.evaluate(NOTHING_WAITS), what="the reply, after which the page forgets what waited")
    page.evaluate(WAITS, [name, page.locator(".rating .stage").get_attribute("data-shown")])
    page.reload()
    wait_until(lambda: (1, "it waited") in kept(deployment, name), what="what waited in the page")


def test_who_rates_what_somebody_else_has_just_rated_is_told(page: Page, deployment: Deployment) -> None:
    """Whether the others' stars come before the key or after it; not of own stars, and the others' can hold again."""
    name = made(deployment.workspace, "jobs_per_variant = 1\n")
    wait_for_jobs(deployment.learning, name, 2)
    deployment.open(page, f"e/{name}/rate")
    stage, five, said = (
        page.locator(".rating .stage"),
        page.get_by_role("button", name="5 stars"),
        page.locator(".said"),
    )
    expect(five).to_be_enabled(timeout=WAIT)
    first = stage.get_attribute("data-shown") or ""

    def rate_elsewhere(image: str, stars: int) -> None:
        params = RateParams(experiment_id=name, image=image, stars=stars)
        deployment.learning.ask("image.rate", params, RatedReply)

    rate_elsewhere(first, 2)
    expect(page.get_by_role("button", name="2 stars")).to_have_attribute("aria-pressed", "true", timeout=WAIT)
    press(page, "4")
    expect(said).to_contain_text("Somebody else had just given this picture 2 stars. Yours count now")
    wait_until(lambda: (4, "") in kept(deployment, name), what="the own stars")
    press(page, "u")
    wait_until(lambda: (2, "") in kept(deployment, name), what="the others' stars")
    expect(stage).to_have_attribute("data-shown", first)
    expect(said).to_be_empty(timeout=2 * WAIT)
    expect(five).to_be_enabled(timeout=WAIT)
    press(page, "5")
    wait_until(lambda: (5, "") in kept(deployment, name), what="the new stars")

    expect(stage).not_to_have_attribute("data-shown", first)
    expect(five).to_be_enabled(timeout=WAIT)
    second = stage.get_attribute("data-shown") or ""
    held: list[Route] = []
    page.route("**/rate", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks what it is given
    press(page, "3")
    wait_until(lambda: page.evaluate("1") and held, what="the request")
    rate_elsewhere(second, 1)
    expect(said).to_contain_text("Somebody else had just given this picture 1 star. Yours count now", timeout=WAIT)
    held[0].continue_()
    wait_until(lambda: kept(deployment, name) == [(3, ""), (5, "")], what="the own stars of both")


def test_what_an_adaptive_experiment_makes_comes_up_by_itself(page: Page, deployment: Deployment) -> None:
    """After the last star there are more pictures, and the count follows; the frame does not tell what they are of."""
    name = made(deployment.workspace, 'mode = "adaptive"\nbudget = 8\n', "start = 0\nstop = 8\nstep = 1")
    deployment.open(page, f"e/{name}/rate")
    facts, three = page.locator(".rating .facts"), page.get_by_role("button", name="3 stars")
    rated = 0
    while rated < 7:
        expect(three).to_be_enabled(timeout=WAIT)
        three.click()
        rated += 1
        expect(facts).to_contain_text(re.compile(f"^{rated} of "), timeout=WAIT)
        assert not re.search("tries|best", page.locator(".head .facts").inner_text())
    wait_until(lambda: len(kept(deployment, name)) == rated, what="the last one, which counts before it is kept")


def test_a_picture_that_is_not_seen_is_not_rated(page: Page, deployment: Deployment) -> None:
    """It says so, is loaded again or skipped, and what is skipped comes again at the end; nothing tells a value."""
    name = made(deployment.workspace, "jobs_per_variant = 1\n")
    wait_for_jobs(deployment.learning, name, 2)
    page.set_viewport_size({"width": 360, "height": 640})
    page.route("**/images/*", lambda route: route.abort())
    deployment.open(page, f"e/{name}/rate")
    card = page.locator(".rating .card")
    expect(card).to_contain_text("cannot be loaded", timeout=WAIT)
    press(page, "5")
    expect(page.get_by_role("button", name="5 stars")).to_be_disabled()
    expect(page.locator(".rating .facts")).to_have_text("0 of 2 rated")
    page.unroute("**/images/*")
    card.get_by_role("button", name="Try again").click()
    expect(card).to_have_count(0, timeout=WAIT)
    picture = page.locator(".rating .stage img")
    expect(picture).to_have_js_property("naturalWidth", 32)
    assert not re.search(r"1\.25|2\.5", page.locator(".rating").evaluate("one => one.outerHTML"))
    room = page.evaluate(
        "(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector('main'))"
    )
    assert room == 0
    for part in (picture, page.get_by_role("button", name="5 stars"), page.get_by_label("Note")):
        expect(part).to_be_in_viewport(ratio=1)
    assert Axe().run(page).response["violations"] == []

    first = picture.get_attribute("src")
    page.get_by_role("button", name="Skip").click()
    expect(picture).not_to_have_attribute("src", first or "")
    refusal = '{"error": "the picture was deleted"}'
    page.route("**/rate", lambda route: route.fulfill(status=404, body=refusal), times=1)
    page.get_by_label("Note").fill("dull")
    page.get_by_role("button", name="2 stars").click()
    expect(page.locator("#said")).to_contain_text("the picture was deleted", timeout=WAIT)
    expect(page.get_by_label("Note")).to_have_value("dull")
    expect(picture).not_to_have_attribute("src", first or "")
    page.get_by_role("button", name="2 stars").click()
    expect(page.locator(".end")).to_contain_text("One is left, which you skipped")
    page.get_by_role("button", name="Show it again").click()
    expect(picture).to_have_attribute("src", first or "")
    page.get_by_role("button", name="Show its value").click()
    expect(page.locator(".about")).to_have_text(re.compile(r"^cfg_scale (1\.25|2\.5), seed"))


def test_any_answer_is_taken_back_in_the_history(page: Page, deployment: Deployment) -> None:
    """And before the first one it is plain whether answers count, with the button that lets them."""
    name = made(deployment.workspace, "jobs_per_variant = 2\n", "values = [1, 2, 4]")
    wait_for_jobs(deployment.learning, name, 6)
    deployment.open(page, f"e/{name}/rate")
    hint = page.locator(".rating .hint")
    expect(page.get_by_role("button", name="3 stars")).to_be_enabled(timeout=WAIT)
    expect(hint).to_have_count(0)
    page.get_by_label("two at a time").check()
    expect(hint).to_contain_text("Comparisons decide nothing here: this experiment is decided by stars.")
    hint.get_by_role("button", name="Let comparisons decide").click()
    expect(hint).to_have_count(0, timeout=WAIT)

    def outcomes() -> list[str]:
        exported = export_of(deployment.learning.control, name, None)
        return [one.outcome for one in exported.records.comparisons]

    facts, stage = page.locator(".rating .facts"), page.locator(".rating .stage")
    page.route("**/compare", lambda route: (route.fetch(), route.abort()), times=1)  # the reply is lost
    for number, key in enumerate(("ArrowLeft", "t", "x"), 1):
        expect(page.get_by_role("button", name="Tie")).to_be_enabled(timeout=WAIT)
        assert "cfg_scale" not in page.locator(".rating").evaluate("one => one.outerHTML")
        shown = stage.get_attribute("data-shown") or ""
        page.keyboard.press(key)
        expect(facts).to_have_text("1 answer" if number == 1 else f"{number} answers", timeout=WAIT)
        expect(stage).not_to_have_attribute("data-shown", shown, timeout=WAIT)
    wait_until(lambda: outcomes() == ["left", "tie", "both_bad"], what="each answer once")
    expect(page.locator(".trouble")).to_have_count(0, timeout=WAIT)
    page.keyboard.press("h")
    said = page.locator(".history .what > span")
    expect(said).to_have_text(["both bad", "tie", "left is better"])
    page.get_by_role("button", name="Take this answer back").nth(1).click()
    expect(said).to_have_text(["both bad", "left is better"])
    page.keyboard.press("u")
    expect(said).to_have_text(["left is better"])
    page.keyboard.press("Escape")
    expect(page.locator(".history")).to_have_count(0)

    wait_until(lambda: outcomes() == ["left"], what="two undos")
    page.reload()
    expect(facts).to_have_text("1 answer", timeout=WAIT)
