"""The commands `tail` and `top`, and what the command lines of all our processes share.

May import everything in `bus`.
"""
