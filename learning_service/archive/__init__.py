"""Experiments as documents: export, import, and the history of all of them.

May import `bus`, `learning_service.experiments`, `learning_service.events` and `learning_service.storage`.
"""
