"""Running workflows on a ComfyUI server.

`graph`, `workflow`, `input_specs`, `node_packs`, `nodes`, `errors`, `history`, `results` and the reading in `progress`
decide, without file or socket; `server` speaks HTTP, `progress` listens to the websocket, and `prompt` takes one prompt
from its submission to its end.
"""
