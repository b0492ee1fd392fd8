"""Sockets: the event loop, client and server of the control socket, authentication and keys.

May import `bus.protocol`, `bus.config` and `bus.telemetry`.
"""
