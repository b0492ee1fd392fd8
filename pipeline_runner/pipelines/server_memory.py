"""What servers tell of their graphics cards, in forms that differ: read what is there, and nothing where it is odd."""

from typing import Any, Final

from bus.contracts.servers import DeviceView

NAME_LIMIT: Final = 200  # characters of the name of a card


def cuda_memory(told: Any) -> tuple[DeviceView, ...]:
    """Return the card of AUTOMATIC1111's `/memory`, which Forge and SD.Next have, too; none where it runs without one.

    A map there has the word `error` in the place of numbers where they cannot be had.
    """
    found = _device("", _at(told, "cuda", "system"), "total", "free")
    return (found,) if found else ()


def comfyui_memory(told: Any) -> tuple[DeviceView, ...]:
    """Return the devices of ComfyUI's `/system_stats`; a processor that is used in place of a card is none."""
    devices = _at(told, "devices")
    found = [
        _device(one.get("name"), one, "vram_total", "vram_free")
        for one in (devices if isinstance(devices, list) else [])
        if isinstance(one, dict) and one.get("type") != "cpu"
    ]
    return tuple(one for one in found if one)


def comfyui_version(told: Any) -> str:
    """Return the version of ComfyUI by the same answer, "" if it does not say."""
    version = _at(told, "system", "comfyui_version")
    return version[:NAME_LIMIT] if isinstance(version, str) else ""


def _at(told: Any, *keys: str) -> Any:
    for key in keys:
        told = told.get(key) if isinstance(told, dict) else None
    return told


def _device(name: Any, told: Any, total_key: str, free_key: str) -> DeviceView | None:
    total, free = (_bytes(_at(told, key)) for key in (total_key, free_key))
    if total is None or free is None or total == 0:
        return None
    shown = name[:NAME_LIMIT].encode("utf-8", "replace").decode() if isinstance(name, str) else ""
    return DeviceView(name=shown, total=total, free=min(free, total))


def _bytes(value: Any) -> int | None:
    """Return a number of bytes; servers write some of them as fractions."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 1 << 62 else None
