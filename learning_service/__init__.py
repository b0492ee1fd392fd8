"""The learning service: plans experiments, follows their jobs, and keeps the state of every variant.

May import `bus`, never `pipeline_runner`. Of what is above it, nothing.
"""
