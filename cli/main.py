"""`variantbus`: the command that joins the others."""

import click

from bus import __version__
from bus.__main__ import tail, top
from cli.apply import apply
from cli.check import check
from cli.demo import demo
from cli.experiment import experiment, watch
from cli.history import history
from cli.job import job
from cli.keygen import keygen
from cli.pipelines import pipelines
from cli.rate import compare, rate, undo
from cli.recommend import recommend
from cli.spec import spec
from cli.up import up
from dashboard.__main__ import main as dashboard
from learning_service.__main__ import main as learning
from pipeline_runner.__main__ import main as runner


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Find out which setting is best: run a job under each of its values, and watch them live.

    \b
    First steps:
      variantbus demo                                      everything once, in a minute
      variantbus up                                        the services, until Ctrl-C
      variantbus experiment run FILE.toml --follow         plan an experiment and see it through
      variantbus tail variant.status --json

    \b
    Exit status: 0 ok, 1 unexpected, 2 usage or bad input, 3 cannot connect, 4 refused or a job failed,
    5 timed out, 130 Ctrl-C.
    """  # noqa: D301 - \b is click's mark for lines that stay as they are


for command in (
    demo,
    up,
    experiment,
    rate,
    compare,
    undo,
    recommend,
    apply,
    history,
    job,
    pipelines,
    watch,
    tail,
    top,
    check,
    keygen,
    spec,
    runner,
    learning,
    dashboard,
):
    main.add_command(command)
