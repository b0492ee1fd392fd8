"""The ready-to-run job of an experiment, as a file that `variantbus job submit` takes."""

from collections.abc import Mapping

import tomlkit

from bus.contracts.messages import ExperimentDefinition, Scalar


def job_text(definition: ExperimentDefinition, settings: Mapping[str, Scalar], comment: str) -> str:
    """Return the text of a file for `variantbus job submit`: the job of the experiment under these settings."""
    document = tomlkit.document()
    for line in comment.split("\n"):
        document.add(tomlkit.comment(line))
    document["pipeline"] = definition.pipeline
    document["stage"] = definition.stage
    if definition.priority:
        document["priority"] = definition.priority
    config = {"seed": definition.seed, **definition.config, **settings}
    document["config"] = {name: value for name, value in config.items() if value is not None}
    return tomlkit.dumps(document)
