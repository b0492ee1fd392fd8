"""The tables of the learning service: experiments, results, judgements, searches and positions as rows.

May import `bus` and `learning_service.experiments`.
"""
