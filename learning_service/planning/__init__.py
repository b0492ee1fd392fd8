"""What a person asks of an experiment: create, extend, retry, rename, cancel; and what an adaptive one plans by itself.

May import everything in `learning_service` below the service.
"""
