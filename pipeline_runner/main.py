"""The command of the runner."""

from pathlib import Path

import click

from bus.cluster.access import Access
from bus.console.options import cluster_option, configured_limits, service_options
from bus.console.process import announce, check_exposure, end_now, service_loop, user_errors
from bus.eventlog.log import Durability, Log
from bus.protocol.addresses import Address, Advertised
from bus.protocol.validation import InvalidInputError
from bus.telemetry.logging import LogFormat, set_up_logging
from bus.transport.keys import Keys
from pipeline_runner.cluster.switching import check_alone
from pipeline_runner.execution.completion_hooks import load_completion_hooks
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.pipelines import ServerAddress, Setup
from pipeline_runner.pipelines.registry import load_pipelines
from pipeline_runner.pipelines.server_access import check_url
from pipeline_runner.scoring.registry import load_scorers
from pipeline_runner.service import Runner


class UrlType(click.ParamType[str]):
    """The address of an image server."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether a server is there is seen later."""
        try:
            return check_url(value)
        except InvalidInputError as error:
            self.fail(str(error), param, ctx)


@click.command("runner")
@service_options("runner", 5560)
@cluster_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    envvar="VARIANTBUS_RUNNER_WORKERS",
    default=2,
    show_default=True,
    show_envvar=True,
    help="How many jobs run at a time.",
)
@click.option(
    "--webui-url",
    type=UrlType(),
    envvar="VARIANTBUS_WEBUI_URL",
    default="http://127.0.0.1:7860",
    show_default=True,
    show_envvar=True,
    help="Where AUTOMATIC1111's web UI or Forge is, started with --api.",
)
@click.option(
    "--webui-auth-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="VARIANTBUS_WEBUI_AUTH_FILE",
    show_envvar=True,
    help="File with one line user:password, if it was started with --api-auth.",
)
@click.option(
    "--comfyui-url",
    type=UrlType(),
    envvar="VARIANTBUS_COMFYUI_URL",
    default="http://127.0.0.1:8188",
    show_default=True,
    show_envvar=True,
    help="Where ComfyUI is.",
)
@click.option(
    "--sdnext-url",
    type=UrlType(),
    envvar="VARIANTBUS_SDNEXT_URL",
    default="http://127.0.0.1:7860",
    show_default=True,
    show_envvar=True,
    help="Where SD.Next is.",
)
@click.option(
    "--sdnext-auth-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="VARIANTBUS_SDNEXT_AUTH_FILE",
    show_envvar=True,
    help="File with one line user:password, if it was started with --auth.",
)
@click.option(
    "--swarmui-url",
    type=UrlType(),
    envvar="VARIANTBUS_SWARMUI_URL",
    default="http://127.0.0.1:7801",
    show_default=True,
    show_envvar=True,
    help="Where SwarmUI is.",
)
@click.option(
    "--swarmui-token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="VARIANTBUS_SWARMUI_TOKEN_FILE",
    show_envvar=True,
    help="File with one line, the token of an account, if it requires accounts.",
)
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
    cluster: Access | None,
    workers: int,
    webui_url: str,
    webui_auth_file: Path | None,
    comfyui_url: str,
    sdnext_url: str,
    sdnext_auth_file: Path | None,
    swarmui_url: str,
    swarmui_token_file: Path | None,
) -> None:
    """Run jobs from a durable queue and publish their progress and results."""
    set_up_logging("runner", log_level, log_format)
    check_exposure(host, keys, insecure=insecure)
    servers = {
        "webui": ServerAddress(url=webui_url, auth_file=webui_auth_file),
        "comfyui": ServerAddress(url=comfyui_url),
        "sdnext": ServerAddress(url=sdnext_url, auth_file=sdnext_auth_file),
        "swarmui": ServerAddress(url=swarmui_url, auth_file=swarmui_token_file),
    }
    with user_errors(), service_loop() as loop:
        log = Log(data_dir / "runner.db", durability=durability, limits=configured_limits())
        member = None
        try:
            outputs = Outputs((data_dir / "outputs").absolute())
            if cluster:
                from pipeline_runner.cluster.member import Member  # noqa: PLC0415 - it needs nats-py

                member = Member(log, loop, cluster, outputs)
            else:
                check_alone(log)
            runner = Runner(
                log,
                loop,
                load_pipelines(Setup(outputs=outputs, servers=servers, output_bytes=log.limits.output_bytes)),
                outputs,
                workers=workers,
                feed=Address(host, feed_port),
                control=Address(host, control_port),
                keys=keys,
                hooks=load_completion_hooks(),
                scorers=load_scorers(),
                cluster=member,
            )
            if advertise:
                runner.publisher.advertise(advertise)
            announce("runner", feed=runner.publisher.feed, control=runner.publisher.control)
            loop.run()
            runner.close()
        finally:
            if member:
                member.disconnect()
            log.close()
    if runner.abandoned:
        end_now()
