"""The ready-to-run job of an experiment, as a file that `variantbus job submit` takes."""

import tomlkit

from bus.console.printable import printable
from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import Config
from bus.contracts.values import brief
from learning_service.experiments.blocks import block_names, shared_config


def job_text(definition: ExperimentDefinition, settings: Config, comment: str) -> str:
    """Return the text of a file for `variantbus job submit`: the job of the experiment under these settings.

    Of an experiment with several blocks, such as prompts, it is that of the first one.
    """
    document = tomlkit.document()
    for line in comment.split("\n"):
        document.add(tomlkit.comment(line))
    if len(names := block_names(definition)) > 1:
        document.add(tomlkit.comment(f"block 1 of {len(names)}: {brief(printable(names[0]))}"))
    document["pipeline"] = definition.pipeline
    document["stage"] = definition.stage
    if definition.priority:
        document["priority"] = definition.priority
    config = {"seed": definition.seed, **shared_config(definition), **settings}
    document["config"] = {name: value for name, value in config.items() if value is not None}
    return tomlkit.dumps(document)
