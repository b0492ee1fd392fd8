"""How the learning service reaches its runners.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
