"""How the learning service reaches its runners.

May import `bus` and `learning_service.experiments`.
"""
