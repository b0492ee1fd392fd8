"""The pipeline `command`: any program, one process group for each job.

May import `bus`, `pipeline_runner.outputs` and `pipeline_runner.pipelines`.
"""
