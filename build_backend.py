"""Builds the distribution with hatchling, and refuses a Python that is too old before pip chooses any versions.

Without this, older versions of pip look for minutes for versions of our libraries that would make Python newer.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - for older ones it is there
    present = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"Error: variantbus needs Python 3.11 or newer, and this is {present}")

from hatchling.build import *  # noqa: F403 - the functions that pip calls
