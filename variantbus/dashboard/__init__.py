"""The web page: a client of the bus like any other, and a server for browsers.

May import `bus`, `variantbus.client` and `variantbus.reports`.
"""
