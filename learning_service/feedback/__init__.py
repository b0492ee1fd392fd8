"""What people say of pictures: ratings and comparisons.

May import `bus`, `learning_service.events`, `learning_service.recommendation` and what these may.
"""
