"""The queue of jobs: their life cycle, its tables, the capacity of each pipeline, retries.

May import `bus`.
"""
