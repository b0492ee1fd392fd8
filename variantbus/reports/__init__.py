"""Documents and judgements for people: exports, the HTML report, the contact sheet, and the problems of a process.

May import `bus`, `learning_service.experiments` and `learning_service.recommendation`.
"""
