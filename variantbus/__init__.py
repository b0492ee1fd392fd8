"""The user interfaces: the command line, the dashboard, and the reports that both make.

May import everything below; nothing below imports it.
"""
