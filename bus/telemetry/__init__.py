"""Observability of a process: log lines on stderr, and metrics.

May import `bus.protocol`.
"""
