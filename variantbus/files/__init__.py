"""The files of experiments and jobs, as people write them: what they stand for, and what is made of them by changes.

May import `bus`, `learning_service.experiments` and `learning_service.recommendation`.
"""
