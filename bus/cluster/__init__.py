"""The cluster: what runners and learning services of many machines share, on NATS JetStream.

May import `bus.protocol`, `bus.config`, `bus.telemetry` and `bus.contracts`. Needs the extra `cluster` (nats-py).
"""
