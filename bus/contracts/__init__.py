"""The domain: messages, requests and pipeline specs that our services exchange, and the AsyncAPI document of them.

May import `bus.protocol`.
"""
