"""Which value is best, and how sure that is: the statistics, and the service that keeps the answer up to date.

The statistics are pure functions; they need numpy and scipy, which are imported when they are first used.

May import `bus`, `learning_service.experiments` and `learning_service.storage`.
"""
