"""What a person asks of an experiment: create, extend, retry, rename, cancel, show; and how adaptive ones go on.

May import every room of `learning_service`.
"""
