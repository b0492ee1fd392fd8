"""The API of AUTOMATIC1111's web UI and of Forge, which are distinguished by their answers, never by version.

| decision, pure | shell |
|---|---|
| `lists`: what the server offers, under which names | `lists.read_lists`: asks for it |
| `registry`, `knobs`: what can be varied, and where it goes | |
| `asked`: what a job asks for; `loras`, `scripts`, `payload`: as the server takes it | |
| `errors`: what a refusal means; `answer`: the picture in an answer | `generation`: one job from POST to answer |
| `watch`: which job is the one that runs there | `generation` |
| `drift`, `echoes`: what was asked for and what was used | |
| `settings`: whether the server's settings surely made a picture | `settings.read_settings`: while it is idle |
"""
