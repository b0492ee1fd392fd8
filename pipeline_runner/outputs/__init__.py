"""The output folder: files, their index, thumbnails, and what removes them.

May import `bus` and `pipeline_runner.queue`.
"""
