"""The API of SD.Next, whose paths are those of AUTOMATIC1111's web UI, and whose answers are not.

| decision, pure | shell |
|---|---|
| `offer`: what the server offers, and what can be varied; `request`: a job as the server takes it | `server`: asks for it |
| `watch`: whether the job that runs there is ours; `failures`: what a refusal and its log mean | `generation`: one job from POST to answer |
| `answer`: the picture in an answer; `drift`: what was asked for and what was used | |
"""  # noqa: E501 - a table
