"""Helpers of the tests: factories, scripted peers, services in threads, checkers.

May import everything.
"""
