"""What people take away: exports, the HTML report, the contact sheet, and what is wrong with a process.

May import `bus`, `learning_service.experiments` and `learning_service.recommendation`.
"""
