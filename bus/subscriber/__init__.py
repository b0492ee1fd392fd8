"""Subscribers: one publisher as a source, and subscribers with a loop of their own or in asyncio.

May import `bus.contracts`, `bus.transport` and what these may.
"""
