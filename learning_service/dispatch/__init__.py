"""Which runner gets which jobs, and sending each job until its runner has stored it.

May import `bus`, `learning_service.experiments`, `learning_service.storage` and `learning_service.runners`.
"""
