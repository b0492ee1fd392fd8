"""How an adaptive experiment goes on, as a pure policy.

May import `bus.contracts` and `learning_service.experiments`.
"""
