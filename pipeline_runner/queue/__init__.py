"""The queue of jobs: their life cycle and tables, the capacity of each pipeline, retries, completion handlers.

May import `bus`.
"""
