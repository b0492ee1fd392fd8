"""Protocol 1 without a socket, a file or a clock: topics, frames, predecessors, and the recovery of what was missed.

May import nothing else of ours.
"""
