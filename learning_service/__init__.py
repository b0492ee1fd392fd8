"""The learning service: plans experiments, follows their jobs, and keeps the state of every variant."""
