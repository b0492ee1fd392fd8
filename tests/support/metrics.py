"""What every metric means, gathered from the modules that declare them."""

from typing import Final

from bus import publisher
from bus.eventlog import points
from bus.subscriber import source
from bus.telemetry import metrics
from bus.transport import authentication, loop, server
from learning_service import service as learning
from learning_service.cluster import node, reader
from learning_service.dispatch import dispatcher, purging
from learning_service.events import consumer
from pipeline_runner import service
from pipeline_runner.cluster import member
from variantbus.cluster import judging

ALL_HELP: Final[dict[str, str]] = {
    name: text
    for module in (
        metrics,
        points,
        publisher,
        loop,
        server,
        authentication,
        source,
        consumer,
        dispatcher,
        purging,
        learning,
        service,
        member,
        node,
        reader,
        judging,
    )
    for name, text in module.HELP.items()
}
