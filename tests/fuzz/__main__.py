"""Fuzz one target with atheris, which is guided by what of our code each input reaches.

Usage: python -m tests.fuzz TARGET [libFuzzer options and corpus folders]
"""

import logging
import sys

import atheris

with atheris.instrument_imports(include=["bus", "learning_service.experiments.plan", "variantbus.files.reading"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    logging.disable()
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
