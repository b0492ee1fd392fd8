"""Judgements of people about pictures: ratings and comparisons.

May import `bus` and, of `learning_service`, `experiments`, `storage` and `recommendation`.
"""
