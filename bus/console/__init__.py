"""The commands `tail` and `top`, and the parts that the command lines of all our processes share.

May import everything in `bus`.
"""
