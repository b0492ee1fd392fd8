"""Export and import of experiments, and the history over all of them.

May import `bus` and, of `learning_service`, `experiments` and `storage`.
"""
