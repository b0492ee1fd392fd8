"""What a key with the role `read` learns of the machine: nothing of its files and folders."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.contracts.fields import Config
from bus.contracts.methods import METHODS
from bus.protocol.control import Role
from bus.transport.sockets import Frame
from learning_service.service import LearningService
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import Setup
from pipeline_runner.pipelines.embedded.pipeline import EmbeddedPipeline
from pipeline_runner.service import Runner
from tests.support.factories import ServiceThread, request_for
from tests.support.learning_services import Services
from variantbus.dashboard.services import Services as DashboardServices

Service = ServiceThread[Runner] | ServiceThread[LearningService]
READ = sorted((service, method.name) for method in METHODS if method.role == "read" for service in method.services)


@pytest.fixture
def both(services: Services, tmp_path: Path) -> dict[str, Service]:
    """Return a runner that takes `init_image`, and a learning service that follows it."""
    runner = services.runner(EmbeddedPipeline(Setup(outputs=Outputs(tmp_path / "outputs"))))
    return {"runner": runner, "learning": services.learning(str(runner.service.publisher.control))}


def answer(service: Service, method: str, params: object, role: Role) -> tuple[str, Frame]:
    """Ask as a client with a role; return "ok" or "error", and the reply."""
    publisher = service.service.publisher
    frames = [b"1", method.encode(), msgspec.msgpack.encode(params)]
    reply = service.call(lambda: publisher.methods.answer(frames, role))
    return reply[1].decode(), reply[2]


def with_path(params: type[msgspec.Struct], path: str) -> dict[str, Any]:
    """Return parameters with a path wherever a text is taken."""
    texts = {field.name: path for field in msgspec.structs.fields(params) if "str" in str(field.type)}
    return texts | ({"prefix": ""} if "prefix" in texts and "after" in params.__struct_fields__ else {})


@pytest.mark.fault(item="B63")
@pytest.mark.parametrize(("service", "method"), READ)
def test_a_reader_hears_the_same_of_files_that_are_there_and_that_are_not(
    both: dict[str, Service], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, service: str, method: str
) -> None:
    """Whatever is asked for, and no folder of the services is named."""
    (there := tmp_path_factory.mktemp("elsewhere") / "there.png").write_bytes(b"x")
    (params,) = {one.params for one in METHODS if one.name == method}
    absent = str(there.with_name("absnt.png"))  # of the same length

    present, missing = (answer(both[service], method, with_path(params, path), "read") for path in (str(there), absent))

    assert present[0] == missing[0]
    if method not in ("metrics", "info", "runner.list", "output.usage"):  # which change meanwhile
        assert present[1].replace(b"there", b"absnt") == missing[1]
    assert str(tmp_path).encode() not in present[1]


@pytest.mark.fault(item="B63")
def test_what_looks_for_files_needs_the_role_that_submits(both: dict[str, Service], tmp_path: Path) -> None:
    """The sentence names the role."""
    config: Config = {"init_image": str(tmp_path / "start.png")}
    job = request_for("one", stage="img2img", config=config)

    for service, method, params in (("runner", "job.check", {"jobs": [job]}), ("learning", "experiment.plan", {})):
        status, reply = answer(both[service], method, params, "read")
        assert status == "error"
        assert b"needs the role command" in reply
        assert str(tmp_path).encode() not in reply
    status, reply = answer(both["runner"], "job.check", {"jobs": [job]}, "command")
    assert b"cannot be read by the runner" in reply


@pytest.mark.fault(item="B63")
def test_a_browser_does_not_hear_where_the_results_are(both: dict[str, Service], tmp_path: Path) -> None:
    """Though the dashboard may submit."""
    runner, learning = (str(both[name].service.publisher.control) for name in ("runner", "learning"))

    told = DashboardServices(runner, learning, None).pipelines()

    assert "embedded" in told["pipelines"]
    assert str(tmp_path) not in repr(told)


@pytest.mark.fault(item="B63")
def test_only_who_submits_hears_where_the_results_are(both: dict[str, Service], tmp_path: Path) -> None:
    """The folder is for programs on the runner's machine."""
    for role, told in (("command", True), ("read", False), ("command", True)):
        _, reply = answer(both["runner"], "pipelines", {}, role)  # type: ignore[arg-type]  # it is one of the two
        assert (str(tmp_path / "outputs").encode() in reply) == told
