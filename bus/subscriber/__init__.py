"""The subscribing half: one publisher as a source, and subscribers that wait by themselves or in asyncio.

May import `bus.contracts`, `bus.transport` and what these may.
"""
