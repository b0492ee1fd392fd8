"""Learning services in a cluster: one leads, the others follow its ledger and stand by.

May import `bus`, `learning_service.experiments` and `learning_service.storage`. Needs the extra `cluster`.
"""
