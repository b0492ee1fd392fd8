"""One of each kind of experiment, and every view of the dashboard on them: for pictures of them, and for checks."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, Protocol

from playwright.sync_api import Page, expect

from bus.contracts.experiments import ExperimentView
from bus.contracts.feedback import ComparedReply, CompareParams, PairReply, RatedReply, RateParams, RatingNextReply
from bus.contracts.jobs import QueueParams, QueueReply
from bus.contracts.messages import VariantStatus
from bus.contracts.shares import ShareParams, ShareView
from tests.support.experiment_files import program, submit
from tests.support.helpers import PATIENCE, TIME_FACTOR, wait_until
from tests.support.workspace import COMMAND_SECONDS, Workspace, steady_ports, view_of, wait_for_jobs
from variantbus.dashboard.links import digest_of

WAIT: Final = PATIENCE * TIME_FACTOR * 1000  # ms
FILES: Final = {
    "stars": """
name = "Guidance by eye"
jobs_per_variant = 3
objective = "stars"
[variable]
name = "cfg_scale"
values = [0, 0.5, 1, 2, 4, 16]
[config]
prompt = "a blue star"
steps = 12
""",
    "pairs": """
name = "Which guidance?"
jobs_per_variant = 3
objective = "preference"
[variable]
name = "cfg_scale"
values = [1, 2.5, 6]
[config]
prompt = "a blue star"
steps = 12
""",
    "metric": """
name = "CFG sweep"
jobs_per_variant = 3
objective = "prompt_match"
[variable]
name = "cfg_scale"
values = [0, 0.5, 1, 1.5, 2, 4, 8, 16]
[config]
prompt = "a blue star"
steps = 12
""",
    "search": """
name = "Adaptive CFG"
mode = "adaptive"
budget = 30
objective = "prompt_match"
[variable]
name = "cfg_scale"
start = 0
stop = 12
step = 0.5
[config]
prompt = "a blue star"
steps = 12
""",
    "two": """
name = "Guidance and steps"
jobs_per_variant = 2
objective = "prompt_match"
[[variables]]
name = "cfg_scale"
values = [0, 0.5, 1, 2, 8]
[[variables]]
name = "steps"
values = [2, 4, 8, 16]
[config]
prompt = "a blue star"
""",
    "three": """
name = "Guidance, steps and sampler"
objective = "prompt_match"
blocks = [{ config = { prompt = "a blue star" } }, { config = { prompt = "a red heart" } }]
[[variables]]
name = "cfg_scale"
values = [0.25, 1, 9]
[[variables]]
name = "steps"
values = [3, 8]
[[variables]]
name = "sampler_name"
values = ["euler", "dpm++_2m"]
[config]
""",
    "prompts": """
name = "Guidance over prompts"
jobs_per_variant = 2
objective = "prompt_match"
prompts = ["a blue star", "a red heart", "a green circle"]
[variable]
name = "cfg_scale"
values = [0.5, 2, 6, 16]
[config]
steps = 8
""",
}
RUNNING: Final = """
name = "A blue star under nine scales"
jobs_per_variant = 4
[variable]
name = "cfg_scale"
values = [0, 0.5, 1, 1.5, 2, 3, 4, 8, 16]
[config]
prompt = "a blue star"
steps = 12
"""
MOST_ENDED: Final = 14  # of the jobs of RUNNING


class Exhibition:
    """Runner, learning service and dashboard, with one of each kind of experiment; `ids` has theirs, and a token."""

    def __init__(self, workspace: Workspace, size: int) -> None:
        """Start the processes; pictures have `size` pixels on a side."""
        self.workspace, self._size = workspace, size
        self.ids: dict[str, str] = {}
        self.runner = workspace.runner("--workers", "2", ports=steady_ports())
        self.learning = workspace.learning(self.runner, ports=steady_ports())
        dashboard = workspace.command("dashboard", "--port", "0")
        self.url = dashboard.wait_for_line("listening").split("http=")[1]

    def fill(self) -> None:
        """Run one experiment of each kind, rate some, and leave one in mid-run."""
        for kind, text in FILES.items():
            self.ids[kind] = self._submit(kind, text)
        self.ids["failed"] = submit(self.workspace, program(values=3, jobs=2, script="test $1 -ne 1 || exit 3"))
        for one in self.ids.values():
            wait_until(lambda one=one: has_ended(self._view(one)), 3 * COMMAND_SECONDS, what=f"the end of {one}")  # type: ignore[misc]
        self._rate(self.ids["stars"], 12)
        self._compare(self.ids["pairs"], 4)
        self.ids["token"] = "t" * 43
        params = ShareParams(experiment_id=self.ids["metric"], digest=digest_of(self.ids["token"]))
        self.learning.ask("experiment.share", params, ShareView)
        self.ids["running"] = self._submit("running", RUNNING)
        wait_for_jobs(self.learning, self.ids["running"], MOST_ENDED)
        self.runner.ask("queue.pause", QueueParams(pipeline="embedded"), QueueReply)

    def _submit(self, kind: str, text: str) -> str:
        size = f"width = {self._size}\nheight = {self._size}\n"
        return submit(self.workspace, f'pipeline = "embedded"\nseed = 7\n{text}{size}', f"{kind}.toml")

    def _view(self, experiment_id: str) -> ExperimentView:
        return view_of(self.learning, experiment_id)

    def _rate(self, experiment_id: str, count: int) -> None:
        """Give stars as somebody who looks at how well each picture matches its prompt."""
        variants = {sha256: one for one in self._view(experiment_id).variants for sha256 in hashes(one)}
        for _ in range(count):
            asked = self.learning.ask("rating.next", {"experiment_id": experiment_id}, RatingNextReply).image
            if asked is None:
                return
            stars = max(1, min(5, round(1 + 6 * variants[asked.sha256].metrics["prompt_match"])))
            params = RateParams(experiment_id=experiment_id, image=asked.sha256, stars=stars)
            self.learning.ask("image.rate", params, RatedReply)

    def _compare(self, experiment_id: str, count: int) -> None:
        for _ in range(count):
            pair = self.learning.ask("comparison.next", {"experiment_id": experiment_id}, PairReply)
            if pair.left is None or pair.right is None:
                return
            left, right = pair.left.sha256, pair.right.sha256
            better: Literal["left", "right"] = "left" if left < right else "right"
            params = CompareParams(experiment_id=experiment_id, left=left, right=right, outcome=better)
            self.learning.ask("comparison.add", params, ComparedReply)


def has_ended(view: ExperimentView) -> bool:
    """Return whether nothing more comes of an experiment."""
    return view.status in ("completed", "partial", "failed", "cancelled")


def hashes(variant: VariantStatus) -> list[str]:
    """Return the hashes of the pictures of a variant."""
    return [image.sha256 for image in variant.images]


def _nothing(_page: Page) -> None:
    """Leave a view as it is when it is opened."""


class Shown(Protocol):
    """What a view is opened on: a dashboard, and ids that addresses need."""

    url: str
    ids: dict[str, str]


class View(NamedTuple):
    """A view of the dashboard: its address, what shows that it is drawn, and what a person does there."""

    name: str
    address: str  # behind the first slash of the URL
    ready: str  # a CSS selector
    prepare: Callable[[Page], None] = _nothing

    def open(self, page: Page, exhibition: Shown) -> None:
        """Show it, and wait until all its pictures are loaded."""
        page.goto("about:blank")  # or else an address that differs in its last part loads nothing
        page.goto(f"{exhibition.url}/{self.address.format(**exhibition.ids)}")
        expect(page.locator(self.ready).first).to_be_visible(timeout=WAIT)
        self.prepare(page)
        page.wait_for_function("() => [...document.images].every((one) => one.complete || one.loading === 'lazy')")


def _beside(page: Page) -> None:
    page.keyboard.press("c")
    expect(page.locator(".viewer .stage img")).to_have_count(2, timeout=WAIT)


def _filled(page: Page) -> None:
    page.get_by_role("button", name="Start over").click()  # a tab keeps what is in the form
    page.get_by_role("button", name="Try 1, 1.5, 2, 4").click()
    expect(page.locator(".preview .sum")).to_be_visible(timeout=WAIT)


def _sharing(page: Page) -> None:
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible(timeout=WAIT)


VIEWS: Final = (
    View("experiments", "#/", ".card"),
    View("new", "#/new", ".plancard", _filled),
    View("run-again", "#/new?from={three}", ".preview .sum"),
    View("system", "#/system", ".meter"),
    View("grid", "#/e/{running}/grid", ".cell.completed img"),
    View("grid-of-two", "#/e/{two}/grid", ".cell.completed img"),
    View("grid-of-three", "#/e/{three}/grid", ".cell.completed img"),
    View("grid-of-prompts", "#/e/{prompts}/grid", ".cell.completed img"),
    View("failures", "#/e/{failed}/grid", ".cell.failed"),
    View("viewer", "#/e/{metric}/grid/4.0", ".viewer .stage img"),
    View("viewer-compare", "#/e/{metric}/grid/2.0", ".viewer .stage img", _beside),
    View("rate", "#/e/{stars}/rate", ".rating .stage img"),
    View("pairs", "#/e/{pairs}/rate", ".rating .stage img"),
    View("answer", "#/e/{stars}/answer", ".rivals img"),
    View("answer-of-two", "#/e/{two}/answer", ".heat rect"),
    View("answer-of-three", "#/e/{three}/answer", ".shares"),
    View("search", "#/e/{search}/search", ".strip circle"),
    View("compare", "#/compare/{metric}/{search}/{two}", ".winners svg"),
    View("share", "#/e/{metric}/grid", "button.share", _sharing),
    View("shared", "share/{token}", ".cell.completed img"),
    View("unknown", "#/nowhere", "h1"),
)
