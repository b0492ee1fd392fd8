"""A runner in a cluster: it fetches jobs when it is free, commits their ends, and says what it offers and does.

May import `bus`, `pipeline_runner.queue` and `pipeline_runner.outputs`. Needs the extra `cluster` (nats-py), but for
`switching` and `station`.
"""
