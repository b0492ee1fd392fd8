"""Running workflows on a ComfyUI server.

`workflow`, `nodes`, `errors`, `history` and the reading in `progress` decide, without file or socket; `server` speaks
HTTP, `progress` listens to the websocket, and `prompt` takes one prompt from its submission to its end.
"""
