"""How commands print."""

import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def json_text(value: object) -> str:
    """Write one JSON document, indented."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
