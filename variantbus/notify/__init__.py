"""Tells people when an experiment has ended, a job has failed, or their stars are needed: a subscriber like any other.

May import `bus`, `learning_service.experiments` and `variantbus.client`.
"""
