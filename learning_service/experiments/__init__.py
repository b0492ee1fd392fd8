"""An experiment in memory: its plan, its variants and their life cycle, and what is published of them.

May import `bus.contracts` and `bus.protocol`: no socket, no file, no clock.
"""
