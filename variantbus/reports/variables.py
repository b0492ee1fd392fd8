"""What the values of variables stand for, where they are not those of a setting of that name."""

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.values import key_text, written
from learning_service.experiments.blocks import settings_text


def variables_told(definition: ExperimentDefinition) -> list[tuple[str, str]]:
    """Return what the values of variables do that are not those of a setting of that name."""
    told = []
    for knob in definition.knobs:
        named = knob.values if knob.settings and isinstance(knob.values, list) else ()
        told += [(f"{knob.name} {written(one)}", settings_text(knob.settings.get(key_text(one), {}))) for one in named]
        if knob.replace:
            told.append((knob.name, f"in the place of {written(knob.replace)} in {knob.setting or knob.name}"))
        if knob.fills:
            told.append((knob.name, f"in the place of {{{knob.name}}}"))
    return told
