"""The log of a publisher: one SQLite file with the service's state and the messages that follow from it.

May import `bus.protocol`, `bus.config` and `bus.telemetry`; it knows nothing of sockets.
"""
