"""The command of the learning service."""

from pathlib import Path

import click

from bus.cluster.access import Access
from bus.console.indices import IndexSet
from bus.console.options import (
    RUNNER_CONTROL,
    AddressType,
    cluster_option,
    configured_limits,
    feed_option,
    local_control,
    named_feeds,
    service_options,
)
from bus.console.process import announce, check_exposure, prepare_service, service_loop, user_errors
from bus.contracts.topics import STATE_TOPICS
from bus.eventlog.log import Durability, Log
from bus.protocol.addresses import Address, Advertised
from bus.protocol.validation import InvalidInputError
from bus.telemetry.logging import LogFormat, set_up_logging
from bus.transport.keys import Keys
from learning_service.cluster import places
from learning_service.experiments.axes import MAX_VARIANTS
from learning_service.experiments.selection import Selection
from learning_service.experiments.sharding import ALL, Shard
from learning_service.service import LearningService


class ShardType(click.ParamType[Shard]):
    """A shard such as `2/3`."""

    name = "shard"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        """Parse the shard."""
        try:
            return value if isinstance(value, Shard) else Shard.parse(str(value))
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


@click.command("learning")
@service_options("learning", 5570)
@click.option(
    "--runner",
    "runners",
    type=AddressType(),
    multiple=True,
    envvar=["VARIANTBUS_RUNNERS", "VARIANTBUS_RUNNER"],
    default=lambda: [local_control("runner")],
    show_default=RUNNER_CONTROL,
    show_envvar=True,
    help="Control address of a runner to follow and to send jobs to; repeatable.",
)
@feed_option("--runner-feed", "runner_feeds", "the runner", envvar="VARIANTBUS_RUNNER_FEEDS", show_envvar=True)
@click.option("--experiment", "experiments", multiple=True, metavar="ID", help="Follow only this one; repeatable.")
@click.option("--variants", type=IndexSet(), default=(), help="Follow only these variants, such as 0-3,7.")
@click.option("--discover", is_flag=True, help="Adopt experiments that this service did not plan.")
@click.option(
    "--shard",
    type=ShardType(),
    envvar="VARIANTBUS_SHARD",
    default=ALL,
    show_default="all experiments",
    show_envvar=True,
    metavar="I/N",
    help="Plan and follow the I-th of N parts of the experiments, which N services divide between them.",
)
@click.option(
    "--max-variants",
    type=click.IntRange(1, 100_000),
    envvar="VARIANTBUS_MAX_VARIANTS",
    default=MAX_VARIANTS,
    show_default=True,
    show_envvar=True,
    help="How many variants an experiment may have.",
)
@cluster_option
def main(  # noqa: PLR0913 - one parameter an option
    *,
    data_dir: Path,
    host: str,
    feed_port: int,
    control_port: int,
    keys: Keys | None,
    insecure: bool,
    durability: Durability,
    log_level: str,
    log_format: LogFormat,
    advertise: Advertised | None,
    runners: tuple[str, ...],
    runner_feeds: tuple[tuple[str, str], ...],
    experiments: tuple[str, ...],
    variants: tuple[int, ...],
    discover: bool,
    shard: Shard,
    max_variants: int,
    cluster: Access | None,
) -> None:
    """Plan experiments, follow their jobs, and publish the state of every variant."""
    set_up_logging("learning", log_level, log_format)
    check_exposure(host, keys, insecure=insecure)
    path, feed, control = data_dir / "learning.db", Address(host, feed_port), Address(host, control_port)
    with user_errors():
        selection = Selection(
            experiments=experiments,
            variants=variants,
            discover=discover,
            shard=shard,
            max_variants=max_variants,
            runners=list(dict.fromkeys(runners)),
            feeds=named_feeds(runner_feeds),
        )
        if cluster and shard != ALL:
            raise InvalidInputError(
                "shard: in a cluster one learning service leads all experiments; leave --shard away"
            )
        if cluster:
            from learning_service import clustered  # noqa: PLC0415 - needs the extra `cluster`

            prepare_service()
            program = clustered.Program(path, selection, durability, configured_limits(), keys, advertise)
            clustered.run(cluster, program, feed, control)
            return
        with service_loop() as loop:
            log = Log(path, keep_newest=STATE_TOPICS, durability=durability, limits=configured_limits())
            try:
                places.leave(log)
                service = LearningService(log, loop, selection, feed=feed, control=control, keys=keys)
                if advertise:
                    service.publisher.advertise(advertise)
                announce("learning", feed=service.publisher.feed, control=service.publisher.control)
                loop.run()
                service.close()
            finally:
                log.close()
