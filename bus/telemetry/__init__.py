"""Observability of a process: log lines on stderr, metrics, and standard streams that take every text.

May import `bus.protocol`.
"""
