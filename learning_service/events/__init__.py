"""From an event to a new state: the router decides, the consumer applies; reconciliation asks runners for missing ends.

May import `bus`, `learning_service.experiments`, `learning_service.storage` and `learning_service.runners`.
"""
