"""Pictures as many programs write them, each with what its metadata says; and files that are broken in many ways."""

import gzip
import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from PIL import Image

A1111: Final = (
    "a red fox, in snow\n(sharp:1.2)\nNegative prompt: blurry,\nlow quality\nSteps: 20, Sampler: DPM++ 2M, "
    "Schedule type: Karras, CFG scale: 7.5, Seed: 42, Size: 64x48, Model hash: 6ce0161689, Model: v1-5, "
    'Lora hashes: "fox: 1234, snow: 5678", Clip skip: 2, Version: v1.10.1'
)
A1111_SETTINGS: Final = {
    "prompt": "a red fox, in snow\n(sharp:1.2)",
    "negative_prompt": "blurry,\nlow quality",
    "steps": 20,
    "sampler_name": "DPM++ 2M",
    "scheduler": "Karras",
    "cfg_scale": 7.5,
    "seed": 42,
    "width": 64,
    "height": 48,
    "model": "v1-5",
    "clip_skip": 2,
}
NODES: Final[dict[str, Any]] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 20,
            "cfg": 7.5,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
        "is_changed": [float("nan")],
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red fox", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
}
COMFYUI: Final = json.dumps(NODES)
COMFYUI_SETTINGS: Final = {
    "prompt": "a red fox",
    "negative_prompt": "blurry",
    "seed": 42,
    "steps": 20,
    "cfg_scale": 7.5,
    "sampler_name": "euler",
    "scheduler": "normal",
    "denoising_strength": 1.0,
    "model": "v1-5.safetensors",
    "width": 64,
    "height": 48,
}
INVOKEAI: Final = json.dumps(
    {
        "app_version": "5.6.0",
        "generation_mode": "sdxl_txt2img",
        "positive_prompt": "a red fox",
        "negative_prompt": "blurry",
        "width": 64,
        "height": 48,
        "seed": 42,
        "cfg_scale": 7.5,
        "steps": 20,
        "scheduler": "euler",
        "model": {"key": "1", "hash": "2", "name": "sdxl", "base": "sdxl", "type": "main"},
        "loras": [{"model": {"name": "fox"}, "weight": 0.75}],
    }
)
INVOKEAI_OLD: Final = json.dumps(
    {
        "model_weights": "stable-diffusion-1.5",
        "image": {
            "prompt": [{"prompt": "a red fox [blurry]", "weight": 1.0}],
            "steps": 20,
            "cfg_scale": 7.5,
            "sampler": "k_euler",
            "seed": 42,
            "width": 64,
            "height": 48,
            "type": "txt2img",
        },
    }
)
NOVELAI: Final = json.dumps(
    {
        "prompt": "a red fox",
        "steps": 20,
        "width": 64,
        "height": 48,
        "scale": 7.5,
        "seed": 42,
        "sampler": "k_euler",
        "noise_schedule": "karras",
        "uc": "blurry",
        "signed_hash": "abc",
        "v4_prompt": {"caption": {"base_caption": "a red fox", "char_captions": []}},
    }
)
SWARMUI: Final = json.dumps(
    {
        "sui_image_params": {
            "prompt": "a red fox",
            "negativeprompt": "blurry",
            "model": "sdxl",
            "seed": 42,
            "steps": 20,
            "cfgscale": 7.5,
            "aspectratio": "1:1",
            "width": 64,
            "height": 48,
            "sampler": "euler",
            "scheduler": "normal",
            "loras": ["fox"],
            "loraweights": ["0.75"],
            "swarm_version": "0.9.5",
        },
        "sui_extra_data": {"date": "2026-01-01"},
    }
)
FOOOCUS: Final = json.dumps(
    {
        "adm_guidance": "(1.5, 0.8, 0.3)",
        "base_model": "juggernaut",
        "base_model_hash": "abc",
        "guidance_scale": 7.5,
        "lora_combined_1": "fox.safetensors : 0.75",
        "metadata_scheme": "fooocus",
        "negative_prompt": "blurry",
        "performance": "Speed",
        "prompt": "a red fox",
        "resolution": "(64, 48)",
        "sampler": "dpmpp_2m",
        "scheduler": "karras",
        "seed": "42",
        "steps": 20,
        "version": "Fooocus v2.5.5",
    }
)
COMMON: Final = {"prompt": "a red fox", "negative_prompt": "blurry", "steps": 20, "cfg_scale": 7.5}
SIZED: Final = {"width": 64, "height": 48}


class Sample(NamedTuple):
    """A file, the pipeline that made it, and some of its settings."""

    name: str
    data: bytes
    pipeline: str
    settings: dict[str, object]


def pixels(shade: int = 0, mode: str = "RGB") -> Image.Image:
    """Return a small picture; another shade has other content."""
    picture = Image.linear_gradient("L").resize((64, 48)).convert(mode)
    picture.putpixel((0, 0), shade if mode == "L" else (shade % 256, shade // 256 % 256, 9, 255)[: len(mode)])
    return picture


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, shade: int = 0, image: Image.Image | None = None, behind: bool = False) -> bytes:
    """Return a PNG with chunks before its pixels, or behind them."""
    buffer = io.BytesIO()
    (image or pixels(shade)).save(buffer, "PNG")
    data = buffer.getvalue()
    at = len(data) - 12 if behind else 33
    return data[:at] + b"".join(chunks) + data[at:]


def text(key: str, value: str, encoding: str = "latin-1") -> bytes:
    """Return a tEXt chunk."""
    return chunk(b"tEXt", key.encode() + b"\0" + value.encode(encoding))


def ztxt(key: str, value: bytes) -> bytes:
    """Return a zTXt chunk."""
    return chunk(b"zTXt", key.encode() + b"\0\0" + zlib.compress(value, 9))


def itxt(key: str, value: str, *, packed: bool = False) -> bytes:
    """Return an iTXt chunk."""
    body = zlib.compress(value.encode()) if packed else value.encode()
    return chunk(b"iTXt", key.encode() + (b"\0\1\0" if packed else b"\0\0\0") + b"en\0\0" + body)


def exif(tags: dict[int, bytes], order: str = "<") -> bytes:
    """Return Exif with tags of the first directory, and of the one for Exif where they belong there."""
    inner = {tag: body for tag, body in tags.items() if tag == 0x9286}
    outer = {tag: body for tag, body in tags.items() if tag not in inner}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    count = len(outer) + bool(inner)
    after = 8 + 2 + count * 12 + 4
    entries, bodies = b"", b""
    for tag, body in sorted(outer.items()):
        entries += struct.pack(f"{order}HHII", tag, 2, len(body) + 4, after + len(bodies))
        bodies += body + b"\0\0\0\0"
    if inner:
        entries += struct.pack(f"{order}HHII", 0x8769, 4, 1, after + len(bodies))
        at = after + len(bodies) + 2 + len(inner) * 12 + 4
        bodies += struct.pack(f"{order}H", len(inner))
        for tag, body in inner.items():
            bodies += struct.pack(f"{order}HHII", tag, 7, len(body), at)
        bodies += b"\0\0\0\0" + b"".join(inner.values())
    return head + struct.pack(f"{order}H", count) + entries + b"\0\0\0\0" + bodies


def encoded(form: str, tags: bytes, shade: int = 0) -> bytes:
    """Return a JPEG, WebP or AVIF with Exif."""
    buffer = io.BytesIO()
    pixels(shade).save(buffer, form, exif=b"Exif\0\0" + tags if form == "JPEG" else tags)
    return buffer.getvalue()


def jpeg_comment(value: str) -> bytes:
    """Return a JPEG with its own kind of comment."""
    buffer = io.BytesIO()
    pixels().save(buffer, "JPEG", comment=value.encode())
    return buffer.getvalue()


def commented(value: str, code: bytes = b"UNICODE\0", encoding: str = "utf-16-be", order: str = ">") -> bytes:
    """Return Exif with a `UserComment`."""
    return exif({0x9286: code + value.encode(encoding)}, order)


def stealthy(value: str, width: int = 64, height: int = 80, *, packed: bool = True) -> bytes:
    """Return a PNG with text in the lowest bits of its alpha channel."""
    body = gzip.compress(value.encode()) if packed else value.encode()
    hidden = (b"stealth_pngcomp" if packed else b"stealth_pnginfo") + struct.pack(">I", len(body) * 8) + body
    bits = [byte >> (7 - place) & 1 for byte in hidden for place in range(8)]
    image = Image.new("RGBA", (width, height), (10, 20, 30, 255))
    assert len(bits) <= width * height
    for place, bit in enumerate(bits):
        image.putpixel((place // height, place % height), (10, 20, 30, 254 + bit))
    return png(image=image)


def samples() -> Iterator[Sample]:
    """Yield a picture of each kind of metadata."""
    a1111, comfyui = A1111_SETTINGS, COMFYUI_SETTINGS
    wide = A1111.replace("a red fox", "狐狸 🦊")
    yield Sample("text.png", png(text("parameters", A1111)), "webui", a1111)
    yield Sample("latin.png", png(text("parameters", A1111.replace("fox", "f\xf6x"))), "webui", {"seed": 42})
    yield Sample("utf8.png", png(text("parameters", wide, "utf-8")), "webui", {"prompt": wide.partition("\nNeg")[0]})
    yield Sample("itxt.png", png(itxt("parameters", wide)), "webui", {"prompt": wide.partition("\nNeg")[0]})
    yield Sample("itxt_packed.png", png(itxt("parameters", A1111, packed=True)), "webui", a1111)
    yield Sample("ztxt.png", png(ztxt("parameters", A1111.encode())), "webui", a1111)
    yield Sample("behind.png", png(text("parameters", A1111), behind=True), "webui", a1111)
    for order, name in (("utf-16-be", "be"), ("utf-16-le", "le"), ("utf-16", "bom"), ("utf-8", "utf8")):
        yield Sample(f"{name}.jpg", encoded("JPEG", commented(A1111, encoding=order)), "webui", a1111)
    yield Sample("wide.jpg", encoded("JPEG", commented(wide)), "webui", {"cfg_scale": 7.5})
    yield Sample("ascii.jpg", encoded("JPEG", commented(A1111, b"ASCII\0\0\0", "ascii", "<")), "webui", a1111)
    jis = commented(A1111, b"JIS\0\0\0\0\0", "iso2022_jp")
    yield Sample("jis.jpg", encoded("JPEG", jis), "webui", a1111)
    yield Sample("zeros.jpg", encoded("JPEG", commented(A1111, b"\0" * 8, "utf-8")), "webui", a1111)
    yield Sample("no_code.jpg", encoded("JPEG", commented(A1111, b"", "utf-8")), "webui", a1111)
    yield Sample("comment.jpg", jpeg_comment(A1111), "webui", a1111)
    yield Sample("unicode.webp", encoded("WEBP", commented(A1111, order="<")), "webui", a1111)
    yield Sample("unicode.avif", encoded("AVIF", commented(A1111)), "webui", a1111)
    yield Sample("exif.png", png(chunk(b"eXIf", commented(A1111))), "webui", a1111)
    yield Sample("prompt.png", png(text("prompt", COMFYUI), text("workflow", '{"nodes": []}')), "comfyui", comfyui)
    tags = {0x010F: b"workflow:{}", 0x0110: b"prompt:" + COMFYUI.encode()}
    yield Sample("prompt.webp", encoded("WEBP", exif(tags)), "comfyui", comfyui)
    tags = {0x010E: b"Prompt:" + COMFYUI.encode()}
    yield Sample("prompt.jpg", encoded("JPEG", exif(tags, ">")), "comfyui", comfyui)
    with_lora = {**COMMON, **SIZED, "seed": 42, "sampler_name": "euler", "lora fox": 0.75}
    yield Sample("invokeai.png", png(text("invokeai_metadata", INVOKEAI)), "invokeai", {**with_lora, "model": "sdxl"})
    old = {**COMMON, **SIZED, "sampler_name": "k_euler", "model": "stable-diffusion-1.5"}
    yield Sample("invokeai_2.png", png(text("sd-metadata", INVOKEAI_OLD)), "invokeai", old)
    novel = {**COMMON, **SIZED, "sampler_name": "k_euler", "scheduler": "karras"}
    chunks = text("Software", "NovelAI"), text("Source", "NovelAI Diffusion V4"), text("Comment", NOVELAI)
    yield Sample("novelai.png", png(*chunks), "novelai", {**novel, "model": "NovelAI Diffusion V4"})
    hidden = json.dumps({"Software": "NovelAI", "Comment": NOVELAI})
    yield Sample("stealth.png", stealthy(hidden), "novelai", novel)
    yield Sample("stealth_odd.png", stealthy(hidden, 64, 75), "novelai", novel)
    yield Sample("stealth_webui.png", stealthy(A1111), "webui", a1111)
    yield Sample("swarmui.png", png(text("parameters", SWARMUI)), "swarmui", with_lora)
    yield Sample("swarmui.jpg", encoded("JPEG", commented(SWARMUI)), "swarmui", with_lora)
    fooocus = {**COMMON, **SIZED, "model": "juggernaut", "lora fox.safetensors": 0.75}
    marked = png(text("parameters", FOOOCUS), text("fooocus_scheme", "fooocus"))
    yield Sample("fooocus.png", marked, "fooocus", fooocus)
    tags = {0x9286: FOOOCUS.encode(), 0x927C: b"fooocus"}
    yield Sample("fooocus.jpg", encoded("JPEG", exif(tags)), "fooocus", fooocus)


def broken() -> Iterator[tuple[str, bytes]]:
    """Yield files of which nothing can be read, each with its name."""
    whole = png(text("parameters", A1111))
    yield "empty.png", b""
    yield "text.txt", A1111.encode()
    yield "page.png", b"<html>404</html>"
    yield "bare.png", png()
    yield "signature.png", whole[:8]
    yield "bomb.png", png(ztxt("parameters", b"a" * (5 << 20)))
    yield "bomb_itxt.png", png(itxt("parameters", "a" * (5 << 20), packed=True))
    yield "no_zlib.png", png(chunk(b"zTXt", b"parameters\0\0no zlib"))
    yield "length.png", whole[:33] + struct.pack(">I", 0xFFFFFFFF) + b"tEXtparameters\0"
    yield "json.png", png(text("prompt", "{"), text("parameters", '{"a": 1}'), text("Comment", "[1]"))
    yield "deep.png", png(text("prompt", "[" * 100_000))
    yield "holiday.jpg", encoded("JPEG", exif({0x010F: b"Camera", 0x0110: b"M 1", 0x010E: b"On the beach"}))
    yield "exif_loop.jpg", encoded("JPEG", b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0")
    yield "exif_far.jpg", encoded("JPEG", b"MM\0*\xff\xff\xff\xff")
    yield "exif_short.webp", encoded("WEBP", b"II*\0\x08\0\0\0\xff\xff")
    yield "tail.avif", encoded("AVIF", commented(A1111))[:40]
