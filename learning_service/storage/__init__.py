"""The tables of the learning service, in the same file as its log.

May import `bus` and `learning_service.experiments`.
"""
