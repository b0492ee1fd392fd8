"""The pure policy that decides the next round of an adaptive experiment, and the sampler that proposes new values.

May import `bus.contracts`, `bus.protocol` and `learning_service.experiments`.
"""
