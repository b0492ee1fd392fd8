"""The pipeline runner: a durable queue of jobs, the workers that run them, and their events as messages.

May import `bus`, never `learning_service` or `variantbus`. Nothing else of variantbus imports it but `variantbus`.
"""
