"""The API of SwarmUI, which shares one server and its backends among the sessions of all its users.

| decision, pure | shell |
|---|---|
| `offer`: what the server offers, and what can be varied | `server.SwarmServer.offer`: asks for it |
| `request`: a job as the server takes it | |
| `news`: what a message of the server says; `errors`: what a refusal means | `conversation`: one websocket; `generation`: one job from the request to its picture |
| `drift`: what was asked for and what was used | |
"""  # noqa: E501 - a table
