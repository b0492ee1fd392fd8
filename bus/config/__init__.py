"""What a process is told before it starts: the bounds of the bus, and the config file that sets them.

May import `bus.protocol`.
"""
