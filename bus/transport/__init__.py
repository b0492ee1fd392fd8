"""Sockets and what they need: the event loop, the two halves of the control socket, authentication and keys.

May import `bus.protocol`, `bus.config` and `bus.telemetry`.
"""
