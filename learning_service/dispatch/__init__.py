"""Which runner gets which jobs, and sending each job until its runner has stored it.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
