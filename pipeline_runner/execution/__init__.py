"""Jobs while they run: the worker pool, checks of servers, reuse of results, and the hooks called after the end.

May import `bus`, `pipeline_runner.queue`, `pipeline_runner.outputs` and `pipeline_runner.pipelines`.
"""
