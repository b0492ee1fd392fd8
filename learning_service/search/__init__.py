"""The pure policy of adaptive experiments: what to try next, and when to stop.

May import `bus.contracts`, `bus.protocol`, `learning_service.experiments` and `learning_service.recommendation`.
"""
