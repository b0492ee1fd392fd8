"""How an adaptive experiment goes on, as a pure policy, and the sampler that proposes new values.

May import `bus.contracts`, `bus.protocol` and `learning_service.experiments`.
"""
