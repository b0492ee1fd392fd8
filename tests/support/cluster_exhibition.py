"""A cluster of three servers with a learning service, a runner that is at work, and a dashboard on it."""

from typing import Final

from playwright.sync_api import Page

from tests.support.clusters import connected
from tests.support.exhibition import View
from tests.support.experiment_files import gate, program, submit
from tests.support.learning_nodes import LearningNode
from tests.support.nats_servers import NatsServers
from tests.support.workspace import ServiceProcess, Workspace, steady_ports, wait_for_jobs


def _in_sight(page: Page) -> None:
    page.locator("h2", has_text="Cluster").evaluate("head => head.scrollIntoView()")


VIEW: Final = View("system-of-cluster", "#/system", ".cluster.well", _in_sight)


class ClusterExhibition:
    """What the page of the system shows of a cluster; of 16 jobs four have ended, two run, and the others wait."""

    def __init__(self, workspace: Workspace) -> None:
        """Start the processes."""
        self.servers, self.ids = NatsServers(workspace, 3), dict[str, str]()
        with connected(self.servers.url) as client:
            client.ensure_three()
        self.learning = LearningNode(workspace, self.servers, workspace.folder / "learning")
        self.learning.wait_to_lead()
        options = ("--cluster", self.servers.url, "--workers", "2")
        folder = workspace.folder / "runner"
        self.runner = ServiceProcess(workspace, "pipeline_runner", options, steady_ports(), folder)
        workspace.environment["VARIANTBUS_LEARNING"] = self.learning.control
        workspace.environment["VARIANTBUS_RUNNER"] = self.runner.control
        experiment_id = submit(workspace, program(values=4, jobs=4, script=gate(workspace, 1)))
        wait_for_jobs(self.learning, experiment_id, 4)
        dashboard = workspace.command("dashboard", "--port", "0", "--cluster", self.servers.url)
        self.url = dashboard.wait_for_line("listening").split("http=")[1]
