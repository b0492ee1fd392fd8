"""Which runner gets which jobs, and sending them until each runner has them on its disk.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
