"""Requests about experiments: create, extend, retry, rename, cancel, show; and the rounds of adaptive ones.

May import every room of `learning_service`.
"""
