"""The cluster on the page of the system: what `cluster check` says, while a server dies and comes back."""

from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.test_accessibility import LOOKS, broken
from tests.browser.test_dashboard_in_a_browser import WAIT, Deployment
from tests.support.cluster_exhibition import VIEW, ClusterExhibition
from tests.support.nats_servers import READY_SECONDS
from tests.support.workspace import Workspace

ELECTED: Final = WAIT + READY_SECONDS * 1000  # ms until the others have noticed, and the page has asked them


def rows_of(table: Locator) -> list[list[str]]:
    """Return the words in the rows of a table, without its head."""
    return [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]


def number(text: str) -> int:
    """Read a number as the page writes it."""
    return int(text.replace(",", ""))


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_server_dies_and_comes_back(browser: Browser, page: Page, workspace: Workspace) -> None:
    """In words and in colour; servers, streams and jobs are those of the command. No rule for everybody is broken."""
    exhibition = ClusterExhibition(workspace)
    VIEW.open(page, exhibition)
    part = page.get_by_role("region", name="Cluster")
    servers, streams, jobs = (part.get_by_role("table", name=name) for name in ("Servers", "Streams", "Jobs"))
    well = servers.locator(".chip.completed")
    expect(page.locator("h2", has_text="Cluster")).to_contain_text("well")
    expect(well).to_have_text(["answers"] * 3)
    expect(jobs.locator("tr", has_text="command-normal").locator("td")).to_have_text(["10", "2", "0"], timeout=WAIT)
    told: dict[str, Any] = workspace.run("cluster", "check", "--json", "--cluster", exhibition.servers.url).json[
        "cluster"
    ]
    assert [row[1] for row in rows_of(servers)] == [node.url for node in exhibition.servers.nodes]
    assert {row[0]: number(row[3]) for row in rows_of(streams)} == {
        one["name"]: one["copies"] for one in told["streams"]
    }
    assert {row[4] for row in rows_of(streams)} <= {node.name for node in exhibition.servers.nodes}
    busy = {
        one["name"]: [str(one[what]) for what in ("pending", "running", "redelivered")] for one in told["consumers"]
    }
    assert rows_of(jobs) == [["command-normal", *busy.pop("command-normal")]]
    assert set(map(tuple, busy.values())) == {("0", "0", "0")}
    expect(part).to_contain_text(told["leads"])
    expect(part).to_contain_text(told["runners"][0])
    leads, runner = (
        page.locator(".process", has=page.get_by_role("heading", name=name)) for name in ("learning", "runner")
    )
    expect(leads.locator("dt", has_text="Cluster").locator("+ dd")).to_have_text("leads")
    expect(runner.locator("dt", has_text="Cluster").locator("+ dd")).to_have_text("connected")
    assert breaks_of(browser, exhibition) == []

    dead = exhibition.servers.nodes[0]
    dead.kill()
    away = servers.locator("tr", has_text=dead.url).locator(".chip.failed")
    expect(away).to_have_text("does not answer", timeout=ELECTED)
    expect(part).to_contain_text(f"{dead.url}: does not answer; start it", timeout=ELECTED)
    expect(streams.locator(".copy .chip.failed").first).to_have_text("away", timeout=ELECTED)
    expect(page.locator("h2", has_text="Cluster")).to_contain_text("needs a look")
    assert painted(away) != painted(well.first)

    dead.start()
    expect(page.locator(".cluster.well")).to_be_visible(timeout=ELECTED)
    expect(well).to_have_text(["answers"] * 3)

    for node in exhibition.servers.nodes:
        node.kill()
    expect(part.locator(".error")).to_have_text("no server of the cluster answers", timeout=ELECTED)
    expect(runner.locator("dt", has_text="Cluster").locator("+ dd")).to_contain_text(
        "no server answers", timeout=ELECTED
    )
    expect(runner.locator(".chip.partial")).to_have_text("needs a look")


def breaks_of(browser: Browser, exhibition: ClusterExhibition) -> list[str]:
    """Return which rules the page breaks, and where it is wider than its window."""
    wrong = []
    for look, (width, height) in LOOKS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if look == "dark" else "light"
        )
        context.set_default_timeout(
            ELECTED
        )  # three servers and four processes of ours share the machine with the browser
        page = context.new_page()
        VIEW.open(page, exhibition)
        wrong += [f"{look}: {one}" for one in broken(Axe().run(page).response)]
        wide = page.evaluate("() => document.querySelector('main').scrollWidth - innerWidth")
        wrong += [f"{look}: the page is {wide} px too wide"] if wide > 0 else []
        context.close()
    return wrong


def painted(element: Locator) -> str:
    """Return the colour of its words."""
    return str(element.evaluate("element => getComputedStyle(element).color"))


def test_without_a_cluster_nothing_is_said_of_one(page: Page, workspace: Workspace) -> None:
    """Nor is the dashboard asked for it again and again."""
    deployment = Deployment(workspace)
    asked: list[str] = []
    page.on("response", lambda response: asked.append(response.url.removeprefix(deployment.url)))
    deployment.open(page, "system")
    expect(page.locator(".process.well")).to_have_count(2, timeout=WAIT)
    for _ in range(3):
        page.wait_for_event("response", lambda response: response.url.endswith("/api/system"))
    assert asked.count("/api/system/cluster") == 1
    expect(page.locator("h2")).to_have_text(["Queue", "Processes", "Rejected events"])
    expect(page.locator("dt", has_text="Cluster")).to_have_count(0)
