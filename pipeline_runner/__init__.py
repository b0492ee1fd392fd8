"""The pipeline runner: a durable queue of jobs, workers that run them, and their life as messages."""
