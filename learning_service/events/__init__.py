"""From an event to a new state: the router decides, the consumer applies; reconciliation asks runners what is missing.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
