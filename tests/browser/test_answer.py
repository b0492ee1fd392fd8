"""The answer in a real browser: the winner, what helps next, the curve, the map of two variables, a phone, the card."""

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.support.dashboard import Dashboard
from tests.support.experiment_files import program, submit
from tests.support.helpers import PATIENCE, TIME_FACTOR
from tests.support.workspace import Workspace

WAIT = PATIENCE * TIME_FACTOR * 1000  # ms
ANSWER = """
name = "Answer"
pipeline = "embedded"
jobs_per_variant = 2
objective = "prompt_match"
[config]
prompt = "a blue star"
[variable]
name = "{name}"
values = {values}
"""
# all at once: the next result may move them
BOXES = """curve => ["svg", "polygon.band", "circle.mean"]
    .flatMap((part) => part === "circle.mean" ? [...curve.querySelectorAll(part)] : [curve.querySelector(part)])
    .map((one) => one.getBoundingClientRect().toJSON())"""
CARD = (1200, 630)
BLUE = (26, 86, 176)  # the frame of the winner
SCRIPTS = Path(__file__).parents[2] / "variantbus" / "dashboard" / "static"


def open_answer(page: Page, dashboard: Dashboard, name: str) -> None:
    """Show the answer of an experiment."""
    page.goto(f"http://{dashboard.address}/#/e/{name}/answer")


def test_values_with_an_order_have_a_curve(page: Page, workspace: Workspace) -> None:
    """Each value has its point above its name, each job its own, and the band holds the line; texts have no curve."""
    workspace.learning(workspace.runner())
    dashboard = Dashboard(workspace)
    curved = submit(workspace, ANSWER.format(name="cfg_scale", values=[12, 1, 3, 6]))
    plain = submit(workspace, ANSWER.format(name="sampler_name", values=["euler", "heun", "dpm++_2m"]))

    open_answer(page, dashboard, curved)
    curve = page.locator("figure.curve")
    expect(curve.locator("circle.point")).to_have_count(8, timeout=WAIT)
    expect(curve.locator("circle.mean")).to_have_count(4, timeout=WAIT)
    expect(curve.locator("polyline.line")).to_have_count(1)
    names = [text.removesuffix(" ★") for text in curve.locator("text[text-anchor=middle]").all_text_contents()]
    assert names == ["1", "3", "6", "12"]
    box, band, *places = curve.evaluate(BOXES)
    assert [one["x"] for one in places] == sorted(one["x"] for one in places)
    assert all(band["y"] - 1 <= one["y"] + one["height"] / 2 <= band["y"] + band["height"] + 1 for one in places)
    assert box["x"] <= band["x"]
    assert band["width"] <= box["width"]
    expect(page.locator(".why li").first).to_contain_text("May be the best: ")

    # a value tells what it is, by the mouse and by the keyboard, and leads to its pictures
    slider = page.get_by_role("slider", name="maximize prompt_match over cfg_scale")
    slider.hover(position={"x": box["width"] * 0.9, "y": 100})
    expect(curve.locator(".readout")).to_contain_text("cfg_scale 12")
    expect(curve.locator(".readout")).to_contain_text("2 results")
    page.mouse.move(0, 0)
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^cfg_scale 3: "))
    expect(curve.locator(".readout")).to_contain_text("cfg_scale 3")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/grid/2\.0$"), timeout=WAIT)

    open_answer(page, dashboard, plain)
    expect(page.locator(".plot tbody tr")).to_have_count(3, timeout=WAIT)
    expect(curve).to_have_count(0)


def test_of_several_variables_it_is_shown_which_one_matters(page: Page, workspace: Workspace) -> None:
    """Each value of each variable has its mean, two variables have a map; on a phone nothing is wider than it."""
    workspace.learning(workspace.runner())
    dashboard = Dashboard(workspace)
    variables = (
        '[[variables]]\nname = "cfg_scale"\nvalues = [0.25, 1]\n[[variables]]\nname = "steps"\nvalues = [4, 8]\n'
    )
    name = submit(workspace, f"{ANSWER.partition('[variable]')[0]}{variables}")

    open_answer(page, dashboard, name)
    table = page.get_by_role("region", name="Variables")
    expect(table.locator("tbody tr")).to_have_count(4, timeout=WAIT)
    expect(table.locator("tbody tr").first).to_contain_text("cfg_scale")
    expect(table.locator("circle.mean")).to_have_count(4)
    expect(page.locator(".why li").first).to_contain_text("What matters: cfg_scale")

    fields = page.locator(".heat rect.field")
    expect(fields).to_have_count(4)
    expect(page.locator(".heat .untried")).to_have_count(0)
    page.locator(".heat").get_by_label("show").select_option("chance")
    expect(page.locator(".heat text.in").first).to_contain_text("%")
    fields.last.hover(force=True)
    expect(page.locator(".heat .readout")).to_contain_text("cfg_scale 1, steps 8")

    page.set_viewport_size({"width": 360, "height": 740})
    view = page.locator("#view")
    assert view.evaluate("view => view.scrollWidth - view.clientWidth") == 0
    row = page.get_by_role("region", name="Values").locator("tbody tr").first
    expect(row.locator("th button")).to_be_visible()
    heights = row.locator("td[data-label]").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert max(heights) < 60, "no letter stands above another"
    page.locator(".winner a").scroll_into_view_if_needed()
    winner, rival = (page.locator(f"figure.{one} img").bounding_box() for one in ("winner", "rival"))
    assert winner
    assert rival
    assert rival["x"] + rival["width"] <= 360, "both are in sight"
    fields.last.click(force=True)
    expect(page).to_have_url(re.compile(r"/grid/3\.0$"), timeout=WAIT)


def test_the_main_button_is_what_helps(page: Page, workspace: Workspace) -> None:
    """Rate, or let something else decide, or retry; where it is decided, apply it, and share a picture of it."""
    workspace.learning(workspace.runner())
    dashboard = Dashboard(workspace)
    decided = submit(workspace, ANSWER.format(name="cfg_scale", values=[0, 1.5]).replace("= 2", "= 6", 1))
    unrated = submit(workspace, ANSWER.format(name="cfg_scale", values=[1, 2]).replace("prompt_match", "stars"))
    blind = submit(workspace, f'objective = "accuracy"\n{program(values=2, jobs=1)}')
    failed = submit(workspace, program(values=2, jobs=1, script="exit 3"))
    main = page.locator(".deeds .primary")

    open_answer(page, dashboard, failed)
    expect(main).to_have_text("Retry the failed jobs", timeout=WAIT)
    open_answer(page, dashboard, blind)
    expect(page.locator("p.answer")).to_contain_text("no job has reported 'accuracy'", timeout=WAIT)
    expect(main).to_have_text("Let stars decide")
    main.click()
    expect(page.get_by_label("Decided by")).to_have_value("stars", timeout=WAIT)
    expect(main).to_have_text("Rate the pictures", timeout=WAIT)
    open_answer(page, dashboard, unrated)
    expect(page.locator("p.answer")).to_have_text("no ratings yet", timeout=WAIT)
    expect(page.locator(".headline")).to_have_text("No answer yet")
    expect(main).to_have_text("Rate the pictures", timeout=WAIT)
    expect(main).to_have_attribute("href", re.compile(f"{unrated}/rate$"))

    open_answer(page, dashboard, decided)
    expect(page.locator(".headline")).to_have_text("cfg_scale 1.5 is best", timeout=WAIT)
    expect(main).to_have_text("Apply", timeout=WAIT)
    expect(page.locator("figure.winner figcaption")).to_contain_text("cfg_scale 1.5")
    expect(page.locator("figure.rival figcaption")).to_contain_text("cfg_scale 0")
    shown = page.locator(".rivals img").evaluate_all("all => all.map(one => one.src)")
    page.get_by_role("button", name="The next seed").click()
    expect(page.locator(".seeds")).to_contain_text("2 of 6")
    assert not set(shown) & set(page.locator(".rivals img").evaluate_all("all => all.map(one => one.src)"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as picture").click()
    assert download.value.suggested_filename == "Answer.png"
    with Image.open(download.value.path()) as card:
        colours = card.convert("RGB")
        assert colours.size == CARD
        assert colours.getpixel((1, 1)) == (255, 255, 255)
        frame = colours.getpixel((56, 340))
        assert isinstance(frame, tuple)
        assert max(abs(one - other) for one, other in zip(frame, BLUE, strict=True)) < 10, "the winner has its frame"
        assert len(colours.crop((80, 190, 380, 490)).getcolors(90_000) or ()) > 50, "and its picture"
    page.get_by_text("What do these columns mean?").click()
    expect(page.get_by_text("How likely it is that no other value is better.")).to_be_visible()
    main.click()
    expect(page.locator(".applied pre")).to_contain_text("cfg_scale = 1.5", timeout=WAIT)


def made(tier: str, *chances: float, **more: object) -> dict[str, object]:
    """Return a recommendation on stars over 1, 2, 3 …, of which the first is recommended."""
    estimates = [
        {"value": place, "mean": 5 - place, "low": 1, "high": 5, "n": 3, "p_best": chance}
        for place, chance in enumerate(chances, 1)
    ]
    value = 1 if tier in ("some", "strong") else None
    return {"objective": "stars", "tier": tier, "value": value, "sentence": "", "estimates": estimates, **more}


@pytest.mark.parametrize(
    ("recommendation", "headline"),
    [
        (made("none", 0.5, 0.5), "No answer yet"),
        (made("few", 0.5, 0.5), "cfg 1 leads so far"),
        (made("some", 0.6, 0.4), "cfg 1 is probably best"),
        (made("some", 0.4, 0.3, 0.3), "cfg 1 leads, but it is close"),
        (made("strong", 0.95, 0.05), "cfg 1 is best"),
        (made("strong", 0.5, 0.4, 0.1, equals=[1, 2]), "cfg 1 and 2 are equally good"),
        (made("strong", 0.5, 0.5, equals=[1, 2]), "It makes no difference"),
    ],
)
def test_the_headline_says_no_more_than_is_known(page: Page, recommendation: dict[str, object], headline: str) -> None:
    """In plain words, from the tier and the chances."""
    open_modules(page)
    script = """async (made) => {
        const { headline, rivals } = await import("/static/experiment/verdict.js");
        return headline(made, rivals(made).winner, "cfg");
    }"""
    assert page.evaluate(script, recommendation) == headline


def test_what_is_shown_of_many_values_and_jobs(page: Page) -> None:
    """The likeliest of more than 60 values until all are wanted; the best so far of a search, in the order of time."""
    open_modules(page)
    many = made("some", *(1 / (place + 2) for place in range(100)))
    script = """async (made) => {
        const { rowsOf } = await import("/static/views/answer/table.js");
        const look = (more) => rowsOf(made, new Map(), { sort: "value", isDown: false, isAll: false, ...more });
        const names = ({ shown, hidden }) => [shown.map((one) => one.value), hidden];
        return [look({}), look({ sort: "mean", isDown: true }), look({ isAll: true })].map(names);
    }"""
    first, by_mean, everything = page.evaluate(script, many)
    assert first == [list(range(1, 21)), 80]
    assert by_mean == [list(range(1, 21)), 80], "of those the best mean first"
    assert everything == [list(range(1, 101)), 0]

    script = """async () => {
        const { stepsOf } = await import("/static/views/search/steps.js");
        const cell = (state, finishedAt, seconds) => ({ state, finishedAt, seconds, metrics: {}, images: [] });
        const cells = [["0.0", cell("completed", 30, 2)], ["1.0", cell("completed", 10, 4)],
            ["2.0", cell("failed", 20)], ["1.1", cell("completed", 40, 3)],
            ["3.0", cell("queued")], ["4.0", cell("running")]];
        const by = { objective: "minimize seconds", isMinimized: true };
        const { ended, ahead } = stepsOf(new Map(cells), new Map(), by);
        return [ended.map((one) => [one.key, one.best, one.isBest]), ahead.map((one) => one.key)];
    }"""
    ended, ahead = page.evaluate(script)
    assert ended == [["1.0", 4, True], ["2.0", 4, False], ["0.0", 2, True], ["1.1", 2, False]]
    assert ahead == ["4.0", "3.0"], "what runs comes before what waits"


def open_modules(page: Page) -> None:
    """Open an empty page that can import the modules of the dashboard, without any service."""
    page.route("**/*", lambda route: route.fulfill(path=SCRIPTS / route.request.url.split("/static/")[1]))
    page.route("**/", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
    page.goto("http://page.invalid/")
