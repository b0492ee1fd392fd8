"""Configuration of a process: the bounds of the bus, and the config file that sets them.

May import `bus.protocol`.
"""
