"""Protocol 1 without a socket, a file or a clock: topics, frames, predecessors, and the recovery of missed events.

May import nothing else of ours.
"""
