"""Jobs while they run: the worker pool, servers that are asked how they are, and results that are used again.

May import `bus`, `pipeline_runner.queue`, `pipeline_runner.outputs` and `pipeline_runner.pipelines`.
"""
