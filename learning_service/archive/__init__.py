"""Experiments out of this service and into another, and the history over all experiments.

May import `bus` and, of `learning_service`, `experiments`, `storage`, `events` and `recommendation`.
"""
