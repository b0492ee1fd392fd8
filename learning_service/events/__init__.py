"""From an event to a new state: the router decides, the unit of work writes, the consumer retries, reconciliation asks.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
