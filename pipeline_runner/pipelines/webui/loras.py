"""LoRAs of a job: as marks behind the prompt, each with its strength."""

from collections.abc import Iterator
from decimal import Decimal

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import LORA_TAG
from bus.protocol.validation import InvalidInputError
from pipeline_runner.pipelines.webui.asked import LORAS
from pipeline_runner.pipelines.webui.lists import Lists, canonical

PROMPTS = ("prompt", "hr_prompt")


def loras_of(config: Config) -> list[str]:
    """Return the LoRAs that a job asks for, in its prompt, in its table and as a variable."""
    return [*LORA_TAG.findall(str(config.get("prompt", ""))), *(name for name, strength in _all(config) if strength)]


def check_loras(config: Config, lists: Lists) -> None:
    """Check that what is put behind the prompt is read as LoRAs, and each only once.

    Raises:
        InvalidInputError: naming the field and what to do.
    """
    owners = _owners(config, lists)
    if not owners:
        return
    for field in PROMPTS:
        text = str(config.get(field, ""))
        if text.rfind("<") > text.rfind(">"):
            raise InvalidInputError(
                f"config.{field}: a '<' is not closed, which would swallow the LoRA; close it with '>'"
            )
        for name in LORA_TAG.findall(text):
            if owner := owners.get(lists.names["loras"].spellings.get(name, name)):
                raise InvalidInputError(
                    f"config.{field}: <lora:{name}:…> is the variable {owner} already; remove it there"
                )


def with_loras(prompt: str, config: Config, lists: Lists) -> str:
    """Return a prompt with the marks behind it; a LoRA of strength 0 in the table has none.

    Raises:
        InvalidInputError: the server has no such LoRA any more.
    """
    marks = [f"<lora:{canonical('loras', name, lists)}:{strength}>" for name, strength in _all(config) if strength]
    return " ".join(filter(None, (prompt, *marks)))


def _all(config: Config) -> Iterator[tuple[str, str]]:
    """Yield each LoRA with its strength as the server reads it, "" for one that is off."""
    table = config.get(LORAS)
    for name, strength in table.items() if isinstance(table, dict) else ():
        yield name, _decimal(strength) if strength else ""
    if config.get("lora"):
        yield str(config["lora"]), _decimal(config.get("lora_strength", 1))


def _owners(config: Config, lists: Lists) -> dict[str, str]:
    """Return the server's names of all LoRAs, also of those that are off, and where each is named."""
    table = config.get(LORAS)
    named = [(name, f"{LORAS}.{name}") for name in (table if isinstance(table, dict) else ())]
    named += [(str(config["lora"]), "lora")] if config.get("lora") else []
    owners: dict[str, str] = {}
    for name, where in named:
        found = canonical("loras", name, lists)
        if found in owners:
            raise InvalidInputError(f"config.{where}: {owners[found]} is the same LoRA; remove one of them")
        owners[found] = where
    return owners


def _decimal(strength: object) -> str:
    """Write a strength as a plain decimal, whatever its size: an exponent would not be read."""
    return format(Decimal(str(strength)), "f")
