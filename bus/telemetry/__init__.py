"""What a process says of itself: log lines on stderr, and metrics.

May import `bus.protocol`.
"""
