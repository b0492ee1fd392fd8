"""The `variantbus` command: one module for each subcommand or group.

May import everything of ours.
"""
