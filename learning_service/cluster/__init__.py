"""Learning services in a cluster: jobs go out, ends come in; one leads, the others follow its ledger and stand by.

May import `bus` and, of `learning_service`, `experiments`, `storage` and `runners`. Needs the extra `cluster`, but for
`switching`.
"""
