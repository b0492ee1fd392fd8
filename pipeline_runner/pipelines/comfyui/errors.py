"""The server's errors as one sentence and a kind of `pipeline_runner.queue.retries`."""

from collections.abc import Mapping
from typing import Any

from bus.contracts.messages import JobError
from pipeline_runner.pipelines.refusals import TEXT_LIMIT, is_out_of_memory


def refusal_text(body: Any) -> str:
    """Describe why a prompt was refused: by node and input, else the error of the whole prompt."""
    found = body if isinstance(body, dict) else {}
    nodes = node_errors_text(found.get("node_errors"))
    if nodes:
        return nodes
    error = found.get("error")
    if isinstance(error, dict):
        return _joined(error.get("message"), error.get("details"))
    return str(error or body)[:TEXT_LIMIT]


def node_errors_text(node_errors: Any) -> str:
    """Describe the errors of nodes, "" if there are none."""
    nodes = node_errors if isinstance(node_errors, dict) else {}
    texts = [
        _joined(f"node {node_id} ({told.get('class_type')}){_input_name(error)}", error.get("message"), _detail(error))
        for node_id, told in nodes.items()
        if isinstance(told, dict)
        for error in _list(told.get("errors"))
        if isinstance(error, dict)
    ]
    return "; ".join(texts)[:TEXT_LIMIT]


def dropped_outputs(node_errors: Any) -> set[str]:
    """Return the output nodes that the server leaves out because of errors before them, though it took the prompt."""
    nodes = node_errors if isinstance(node_errors, dict) else {}
    told = (entry for entry in nodes.values() if isinstance(entry, dict))
    return {str(node_id) for entry in told for node_id in _list(entry.get("dependent_outputs"))}


def execution_error(data: Mapping[str, Any]) -> JobError:
    """Return kind and text of the error for an exception in a node.

    Whether the values cause it, or a driver or a disk has failed for a moment, is shown by another try.
    """
    name = str(data.get("exception_type", "")).rpartition(".")[2]
    message = " ".join(str(data.get("exception_message", "")).split())
    where = f"node {data.get('node_id')} ({data.get('node_type')})"
    text = _joined(where, name, message or "failed without a message")
    if is_out_of_memory(f"{name}: {message}"):
        return JobError(kind="oom", message=text)
    return JobError(kind="server_error", message=text)


def _input_name(error: Mapping[str, Any]) -> str:
    extra = error.get("extra_info")
    name = extra.get("input_name") if isinstance(extra, dict) else None
    return f", input {name}" if name else ""


def _detail(error: Mapping[str, Any]) -> str:
    """Return the details without the name of the input, which is written before them."""
    extra = error.get("extra_info")
    name = str(extra.get("input_name", "")) if isinstance(extra, dict) else ""
    return str(error.get("details") or "").removeprefix(name).lstrip(":,- ")


def _joined(*parts: object) -> str:
    return ": ".join(text for part in parts if (text := str(part or "").strip()))[:TEXT_LIMIT]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
