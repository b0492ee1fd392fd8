"""The pictures that the fake ComfyUI server makes."""

import hashlib
import io
import json
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

Size = tuple[int, int]
SIZE: Size = (24, 16)


def picture(graph: dict[str, Any], value: Any, number: int = 0) -> bytes:
    """Draw a picture as the nodes before it make it, with the chunk that the server writes."""
    chunks = PngInfo()
    chunks.add_text("prompt", json.dumps(graph))
    buffer = io.BytesIO()
    _drawn(value, number).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def preview(step: int) -> bytes:
    """Draw what a sampler has made after a step, as the server encodes it."""
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), (50 * step % 256, 90, 120)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def animation(value: Any) -> bytes:
    """Draw all pictures of a batch into one file."""
    buffer = io.BytesIO()
    frames = [_drawn(value, number) for number in range(value["batch"])]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    return buffer.getvalue()


def _drawn(value: Any, number: int) -> Image.Image:
    text = json.dumps(value, sort_keys=True, default=str)
    colour = hashlib.sha256(f"{number}{text}".encode()).digest()[:3]
    size = value.get("size", SIZE) if isinstance(value, dict) else SIZE
    return Image.new("RGB", tuple(size), (colour[0], colour[1], colour[2]))
