"""A scorer: how much redder a picture is than it is green or blue."""

from types import MappingProxyType

from pipeline_runner.scoring import Config, Picture, Scorer, VariableSpec


class Redness(Scorer):
    """Compares red with the stronger of the two others."""

    about = "red minus the stronger of green and blue, -1 to 1"
    options = MappingProxyType({"weight": VariableSpec(kind="float", minimum=0, target="a factor of the number")})

    def __init__(self, options: Config) -> None:
        """Get ready; a model would be loaded here, once for many pictures."""
        super().__init__(options)
        weight = options.get("weight", 1.0)
        self._weight = float(weight) if isinstance(weight, int | float) else 1.0

    def score(self, picture: Picture) -> float:
        """Measure one picture."""
        red, green, blue = picture.pixels().mean(axis=(0, 1)) / 255
        return self._weight * float(red - max(green, blue))
