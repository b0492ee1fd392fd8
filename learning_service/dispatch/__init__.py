"""Which runner gets which jobs, and how they come there.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
