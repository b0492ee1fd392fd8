"""What generators write into their pictures: the settings that made them.

May import `bus` and `pipeline_runner.outputs`.
"""
