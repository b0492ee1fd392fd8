"""`python -m pipeline_runner`: the runner as a process."""

from pathlib import Path

import click

from bus.command import (
    announce,
    configured_limits,
    loopback,
    service_loop,
    service_options,
    user_errors,
)
from bus.log import Durability, Log
from bus.logs import LogFormat, set_up_logging
from pipeline_runner.outputs import Outputs
from pipeline_runner.pipelines import load_pipelines
from pipeline_runner.runner import Runner


@click.command("runner")
@service_options("runner", 5560)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    envvar="VARIANTBUS_RUNNER_WORKERS",
    default=2,
    show_default=True,
    show_envvar=True,
    help="How many jobs run at a time.",
)
def main(
    data_dir: Path,
    feed_port: int,
    control_port: int,
    durability: Durability,
    log_level: str,
    log_format: LogFormat,
    workers: int,
) -> None:
    """Run jobs from a durable queue and publish what becomes of them."""
    set_up_logging("runner", log_level, log_format)
    with user_errors(), service_loop() as loop:
        log = Log(data_dir / "runner.db", durability=durability, limits=configured_limits())
        try:
            outputs = Outputs((data_dir / "outputs").absolute())
            runner = Runner(
                log,
                loop,
                load_pipelines(outputs),
                outputs,
                workers=workers,
                feed=loopback(feed_port),
                control=loopback(control_port),
            )
            announce("runner", feed=runner.publisher.feed, control=runner.publisher.control)
            loop.run()
            runner.close()
        finally:
            log.close()


if __name__ == "__main__":
    main()
