"""What measures pictures after their jobs; other packages add scorers by the entry point group `variantbus.scorers`.

All that a scorer needs can be imported from here. May import `bus`, and the rooms `queue`, `outputs` and `pipelines`.
"""

from bus.contracts.fields import Config
from bus.contracts.pipeline_specs import VariableSpec
from bus.protocol.validation import InvalidInputError
from pipeline_runner.scoring.base import Picture, Scorer

__all__ = ["Config", "InvalidInputError", "Picture", "Scorer", "VariableSpec"]
