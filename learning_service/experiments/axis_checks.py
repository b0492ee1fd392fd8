"""Checks of what variables do: settings that a pipeline has, texts that occur, and no setting by two of them."""

from collections.abc import Mapping, Sequence
from typing import Final

from bus.contracts.definition import ExperimentDefinition, Variable
from bus.contracts.fields import Scalar, VariantValue
from bus.contracts.pipeline_specs import SEED, StageSpec, VariableSpec, check_text, check_value, no_variable
from bus.contracts.values import cited, key_text
from bus.protocol.validation import InvalidInputError, near_miss
from learning_service.experiments.axes import axes_of, settings_set
from learning_service.experiments.blocks import shared_config
from learning_service.experiments.settings import Mark, missing_marks

Offered = Mapping[str, VariableSpec | None]
_FORMS: Final = ("settings", "replace", "fills")


def check_axes(definition: ExperimentDefinition, spec: StageSpec, offered: Offered) -> None:
    """Refuse variables that a pipeline does not have, or that contradict each other or the configuration.

    Raises:
        InvalidInputError: naming the variable.
    """
    owners: dict[str, str] = {}
    replaced: set[tuple[str, str]] = set()
    for where, knob in axes_of(definition):
        check_text(f"{where}.name", knob.name)
        _check_form(where, knob)
        for name in sorted(settings_set(knob)):
            if name in owners:
                raise InvalidInputError(f"{where}: sets {name}, as {owners[name]} does; leave it to one of them")
            owners[name] = where
        if knob.replace:
            _check_replaced(where, knob, {**offered, **spec.config})
            if (found := (knob.setting or knob.name, knob.replace)) in replaced:
                raise InvalidInputError(f"{where}.replace: another variable replaces {cited(knob.replace)}, too")
            replaced.add(found)
        elif knob.fills:
            _check_part(where, knob, {**offered, **spec.config})
        elif knob.is_plain:
            _check_plain(where, definition, knob, spec, offered)
    _check_config(definition)


def check_settings(where: str, knob: Variable, values: Sequence[Scalar], spec: StageSpec, offered: Offered) -> None:
    """Check what each value sets against what the pipeline takes.

    Raises:
        InvalidInputError: naming the value and the setting.
    """
    known = {**offered, **spec.config}
    for number, value in enumerate(values, 1):
        if knob.is_plain:
            check_value(f"{where}.values #{number}", offered[knob.name], value)
            continue
        check_value(f"{where}.values #{number}", None, value)
        if knob.settings and key_text(value) not in knob.settings:
            text = f"is no named value; named are {', '.join(knob.settings)}"
            raise InvalidInputError(f"{where}.values #{number}: {cited(value)} {text}")
        for name, part in knob.settings.get(key_text(value), {}).items():
            place = f"{where}.values #{number}.{name}"
            if name == SEED:
                raise InvalidInputError(
                    f"{place}: every value gets the same seeds; make the seed a variable of its own"
                )
            if name not in known:
                raise InvalidInputError(f"{place}: unknown setting; {near_miss(name, list(known))}")
            check_value(place, known[name], part)


def check_marks(definition: ExperimentDefinition, value: VariantValue, repeat: int) -> None:
    """Refuse a job without the text that a variable takes the place of.

    Raises:
        InvalidInputError: naming the variable, and the block.
    """
    for mark in missing_marks(definition, value, repeat):
        where = next(where for where, knob in axes_of(definition) if knob.name == mark.name)
        raise InvalidInputError(f"{where}: {_absent(mark)}{_under(definition, repeat)}; write a text that does")


def _absent(mark: Mark) -> str:
    place = mark.setting or "any text of the settings"
    return f"{cited(mark.token)} does not occur in {place}"


def _under(definition: ExperimentDefinition, repeat: int) -> str:
    count = len(definition.blocks)
    return f" of blocks #{1 + repeat % count}" if count else ""


def _check_form(where: str, knob: Variable) -> None:
    forms = [name for name in _FORMS if getattr(knob, name)]
    if len(forms) > 1:
        raise InvalidInputError(f"{where}.{forms[1]}: there is {forms[0]} already; a variable has one of them")
    if knob.setting and not knob.replace:
        raise InvalidInputError(f"{where}.setting: says in which text replace looks; add replace, or remove it")
    if knob.settings and not isinstance(knob.values, list):
        raise InvalidInputError(f"{where}.values: must be the list of the named values")
    if knob.settings and (unused := sorted(set(knob.settings) - set(map(key_text, knob.values or ())))):
        raise InvalidInputError(f"{where}.settings.{unused[0]}: is none of the values; add it to them, or remove it")


def _check_replaced(where: str, knob: Variable, known: Offered) -> None:
    name = knob.setting or knob.name
    field = "setting" if knob.setting else "name"
    if name not in known:
        raise InvalidInputError(
            f"{where}.{field}: no setting {name!r} to replace a text in; {near_miss(name, list(known))}"
        )
    spec = known[name]
    if spec is not None and spec.kind != "str":
        raise InvalidInputError(f"{where}.{field}: {name} is no text; replace looks in texts, such as prompt")


def _check_part(where: str, knob: Variable, known: Offered) -> None:
    if knob.name in known:
        text = f"{{{knob.name}}} in a text stands for this variable, and there is a setting called so"
        raise InvalidInputError(
            f"{where}.name: {text}; take another name, or write {{{{{knob.name}}}}} for the text itself"
        )


def _check_plain(
    where: str, definition: ExperimentDefinition, knob: Variable, spec: StageSpec, offered: Offered
) -> None:
    if knob.name not in offered:
        stage = f"{definition.pipeline} ({definition.stage})"
        hint = no_variable(spec, shared_config(definition), knob.name, offered)
        raise InvalidInputError(f"{where}.name: {stage} has no variable {knob.name!r}; {hint}")
    if knob.name == SEED and definition.jobs_per_variant > 1:
        raise InvalidInputError("jobs_per_variant: must be 1 where the seed itself is the variable")


def _check_config(definition: ExperimentDefinition) -> None:
    """Refuse a setting of the configuration that no value leaves as it is."""
    for knob in definition.knobs:
        configs = list(knob.settings.values())
        for name in sorted(settings_set(knob)):
            if name in definition.config and all(name in config for config in configs):
                said = f"every value of {knob.name} sets it" if configs else "is the variable already"
                raise InvalidInputError(f"config.{name}: {said}; remove it from config")
