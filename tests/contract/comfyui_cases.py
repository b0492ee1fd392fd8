"""What a ComfyUI answers, as recorded from 0.33.0; each case asks the HTTP API and the websocket itself."""

import uuid
from typing import Final
from urllib.parse import quote

from tests.contract.comfyui_server import (
    CLIENT,
    ComfyuiServer,
    cached,
    empty,
    faults,
    files,
    heard,
    messages,
    node,
    plain,
    sampler,
    save,
)
from tests.contract.frame import Contract

FAKE_STEP_SECONDS: Final = 0.2
CONTRACT: Final = Contract[ComfyuiServer]()


@CONTRACT.case(recorded=[["exec_info"], ["queue_pending", "queue_running"], {}])
def what_the_runner_asks_for_again_and_again(server: ComfyuiServer) -> object:
    """The smallest request, the queue, and the history of a prompt that nobody knows."""
    keys = [sorted(server.get(path).json()) for path in ("/prompt", "/queue")]
    return [*keys, server.get(f"/history/{uuid.uuid4()}").json()]


@CONTRACT.case(recorded=[["exec_info"], ["queue_pending", "queue_running"], {}])
def every_path_also_stands_under_api(server: ComfyuiServer) -> object:
    """An address may end in /api."""
    keys = [sorted(server.get(f"/api{path}").json()) for path in ("/prompt", "/queue")]
    return [*keys, server.get(f"/api/history/{uuid.uuid4()}").json()]


@CONTRACT.case(
    recorded=("missing_node_type", "Node 'Nobody' not found. The custom node may not be installed.", "Node ID '#2'", {})
)
def a_node_that_it_lacks_is_refused(server: ComfyuiServer) -> object:
    """By its class and id, and by nothing else."""
    told = server.refusal({"1": empty(), "2": node("Nobody", image=["1", 0]), "9": save("2")})
    return (*(told["error"][key] for key in ("type", "message", "details")), told["node_errors"])


@CONTRACT.case(recorded=("prompt_no_outputs", {}))
def a_prompt_without_an_output_is_refused(server: ComfyuiServer) -> object:
    """Though each of its nodes is right."""
    told = server.refusal({"1": empty()})
    return told["error"]["type"], told["node_errors"]


@CONTRACT.case(
    recorded=(
        "prompt_outputs_failed_validation",
        [
            ("1", "color", "value_bigger_than_max"),
            ("1", "height", "required_input_missing"),
            ("1", "width", "value_smaller_than_min"),
            ("2", "blur_radius", "invalid_input_type"),
        ],
        ["9"],
    )
)
def wrong_values_are_refused_by_node_and_input(server: ComfyuiServer) -> object:
    """All of them at once."""
    graph = {"1": empty(1 << 24, width=0), "2": node("ImageBlur", image=["1", 0], blur_radius="x", sigma=1.0)}
    del graph["1"]["inputs"]["height"]
    told = server.refusal({**graph, "9": save("2")})
    return told["error"]["type"], faults(told), told["node_errors"]["1"]["dependent_outputs"]


@CONTRACT.case(recorded=[["value_not_in_list"], ["bad_linked_input"], ["custom_validation_failed"]])
def each_fault_has_its_kind(server: ComfyuiServer) -> object:
    """A choice that is not there, a link that is none, a file that is missing."""
    quantize = {"1": empty(), "2": node("ImageQuantize", image=["1", 0], colors=2, dither="no such thing")}
    blur = {"1": empty(), "2": node("ImageBlur", image=["1"], blur_radius=1, sigma=1.0)}
    load = {"2": node("LoadImage", image="there is no such file.png")}
    return [
        [kind for _, _, kind in faults(server.refusal({**graph, "9": save("2")}))] for graph in (quantize, blur, load)
    ]


@CONTRACT.case(recorded=[[], ["value_bigger_than_max"]])
def seeds_have_64_bits(server: ComfyuiServer) -> object:
    """And not one more."""
    found = []
    for seed in (2**64 - 1, 2**64):
        graph = {"3": node("KSampler", seed=seed), "8": node("VAEDecode", samples=["3", 0]), "9": save("8")}
        found.append([kind for _, name, kind in faults(server.refusal(graph)) if name == "seed"])
    return found


@CONTRACT.case(recorded=(["9"], {"2": ["8"]}))
def an_output_with_an_error_before_it_is_left_out(server: ComfyuiServer) -> object:
    """The prompt is taken, and says which output it does without."""
    graph = {"1": empty(), "2": empty(width=0), "8": save("2"), "9": save("1")}
    reply = server.post("/prompt", {"prompt": graph, "client_id": CLIENT}).json()
    left_out = {node_id: told["dependent_outputs"] for node_id, told in reply["node_errors"].items()}
    return sorted(server.end(reply["prompt_id"])["outputs"]), left_out


@CONTRACT.case(
    recorded=(
        [("png", "", "output")],
        ("success", True),
        ["execution_start", "execution_cached", "execution_success"],
        [],
    )
)
def the_history_of_a_prompt(server: ComfyuiServer) -> object:
    """Its files, its end, what is logged, and that nothing was cached."""
    entry = server.run(plain())
    names = [(one["filename"].rpartition(".")[2], one["subfolder"], one["type"]) for one in files(entry)]
    status = entry["status"]
    return names, (status["status_str"], status["completed"]), [name for name, _ in status["messages"]], cached(entry)


@CONTRACT.case(recorded=(["1", "2", "9"], True))
def an_unchanged_prompt_is_not_executed_again(server: ComfyuiServer) -> object:
    """It names the same file once more, without looking whether it is there."""
    graph = plain()
    first, second = server.run(graph), server.run(graph)
    return cached(second), files(first) == files(second)


@CONTRACT.case(recorded=[["1"], ["1", "2"], []])
def only_what_has_changed_is_executed(server: ComfyuiServer) -> object:
    """With all that comes after it; and only the last prompt is remembered."""
    graph = plain()
    server.run(graph)
    blurred = {**graph, "2": node("ImageBlur", image=["1", 0], blur_radius=2, sigma=1.0)}
    named = {**blurred, "9": save("2", "contract_other")}
    found = [cached(server.run(one)) for one in (blurred, named)]
    server.run(plain())
    return [*found, cached(server.run(named))]


@CONTRACT.case(recorded=(["1", "2"], True))
def an_input_that_no_node_has_makes_its_node_run_again(server: ComfyuiServer) -> object:
    """And changes nothing else: so a picture whose file is gone is made anew."""
    graph = plain()
    first = server.run(graph)
    graph["9"]["inputs"]["variantbus"] = "again"
    second = server.run(graph)
    return cached(second), files(first) != files(second)


@CONTRACT.case(recorded=(404, b""))
def a_file_that_is_gone(server: ComfyuiServer) -> object:
    """The answer is as empty as that of a proxy may be."""
    reply = server.get("/view", {"filename": f"{uuid.uuid4()}.png", "subfolder": "", "type": "output"})
    return reply.status, reply.data


@CONTRACT.case(recorded=[("webm", [True]), ("webp", [True])])
def films_are_listed_among_the_pictures(server: ComfyuiServer) -> object:
    """Only their names tell them from pictures."""
    graph = {"1": empty(batch_size=4)}
    graph["8"] = node("SaveWEBM", images=["1", 0], filename_prefix="contract", codec="vp9", fps=6.0, crf=32.0)
    graph["9"] = node(
        "SaveAnimatedWEBP",
        images=["1", 0],
        filename_prefix="contract",
        fps=6.0,
        lossless=True,
        quality=80,
        method="default",
    )
    outputs = server.run(graph)["outputs"]
    return [(outputs[one]["images"][0]["filename"].rpartition(".")[2], outputs[one]["animated"]) for one in ("8", "9")]


@CONTRACT.case(recorded=[("temp", 200)])
def previews_are_of_another_type(server: ComfyuiServer) -> object:
    """And can be fetched all the same."""
    entry = server.run({"1": empty(), "9": node("PreviewImage", images=["1", 0])})
    return [(one["type"], server.get("/view", one).status) for one in files(entry)]


@CONTRACT.case(
    recorded=(
        ("error", False, {}),
        ("2", "ImageBlur", ["1"], "RuntimeError"),
        "Padding size should be less than the corresponding input dimension",
    )
)
def an_exception_in_a_node(server: ComfyuiServer) -> object:
    """Its class and text, and what had been executed before it."""
    graph = plain(blur_radius=31)
    graph["1"] = empty(width=16, height=16)
    entry = server.run(graph)
    told = messages(entry)["execution_error"]
    text = "Padding size should be less than the corresponding input dimension"
    return (
        (entry["status"]["status_str"], entry["status"]["completed"], entry["outputs"]),
        tuple(told[key] for key in ("node_id", "node_type", "executed", "exception_type")),
        text if text in told["exception_message"] else told["exception_message"],
    )


@CONTRACT.case(
    recorded=(
        [
            ("execution_start", None),
            ("execution_cached", None),
            ("executing", "1"),
            ("executing", "2"),
            ("executing", "9"),
            ("executed", "9"),
            ("execution_success", None),
            ("executing", None),
        ],
        [0, 1],
    )
)
def messages_while_a_prompt_runs(server: ComfyuiServer) -> object:
    """Each node is told as it begins, with 0 of 1 where it has no steps of its own."""
    with server.listening() as connection:
        prompt_id = server.submit(plain())
        told = list(heard(connection, prompt_id))
    states = [data["nodes"]["1"] for kind, data in told if kind == "progress_state" and "1" in data["nodes"]]
    steps = [int(states[0][key]) for key in ("value", "max")]
    return [(kind, data.get("node")) for kind, data in told if kind != "progress_state"], steps


@CONTRACT.case(recorded=([], ["4", "5", "6"]))
def a_model_and_its_texts_stay_in_the_cache(server: ComfyuiServer) -> object:
    """Where only the seed changes."""
    first, second = sampler(server, steps=2), sampler(server, steps=2)
    server.run(plain())
    return cached(server.run(first)), cached(server.run(second))


@CONTRACT.case(recorded=(False, ("error", False), "execution_interrupted", "3"))
def a_running_prompt_is_interrupted_by_its_id(server: ComfyuiServer) -> object:
    """An interrupt of another id is passed over."""
    with server.listening() as connection:
        prompt_id = server.submit(sampler(server))
        server.wait_until_it_runs(prompt_id)
        server.post("/interrupt", {"prompt_id": str(uuid.uuid4())})
        was_stopped = bool(server.get(f"/history/{prompt_id}").json())
        for kind, data in heard(connection, prompt_id):
            if kind == "progress" and data["node"] == "3":
                break
    server.post("/interrupt", {"prompt_id": prompt_id})
    status = server.end(prompt_id)["status"]
    name, told = status["messages"][-1]
    return was_stopped, (status["status_str"], status["completed"]), name, told["node_id"]


@CONTRACT.case(recorded=("execution_interrupted", True))
def an_interrupt_without_an_id_stops_whatever_runs(server: ComfyuiServer) -> object:
    """As the button of the page does."""
    prompt_id = server.submit(sampler(server))
    server.wait_until_it_runs(prompt_id)
    server.post("/interrupt", {})
    entry = server.end(prompt_id)
    return entry["status"]["messages"][-1][0], entry["outputs"] == {}


@CONTRACT.case(recorded=([], {}, {}))
def what_is_taken_out_of_queue_and_history_is_gone(server: ComfyuiServer) -> object:
    """A waiting prompt leaves nothing behind, and neither does one whose history was cleared."""
    first = server.submit(sampler(server))
    second, third = server.submit(plain()), server.submit(plain())
    server.post("/queue", {"delete": [second]})
    server.post("/queue", {"clear": True})
    waiting = server.queued("queue_pending")
    server.post("/interrupt", {"prompt_id": first})
    server.end(first)
    server.post("/history", {"clear": True})
    return waiting, server.get(f"/history/{first}").json(), server.get(f"/history/{quote(third)}").json()


@CONTRACT.case(recorded=[("list", True, "nodes"), ("FLOAT", False, "comfy_extras.nodes_post_processing")])
def what_it_says_of_a_node(server: ComfyuiServer) -> object:
    """Whether it saves, where it comes from, and what its inputs take."""
    told = server.get("/object_info").json()
    saves, blurs = told["SaveImage"], told["ImageBlur"]
    sampler_name = told["KSampler"]["input"]["required"]["sampler_name"][0]
    kind = "list" if isinstance(sampler_name, list) or sampler_name == "COMBO" else sampler_name
    return [
        (kind, saves["output_node"], saves["python_module"]),
        (blurs["input"]["required"]["sigma"][0], blurs["output_node"], blurs["python_module"]),
    ]
