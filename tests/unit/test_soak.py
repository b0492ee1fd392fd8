"""What a soak makes of its samples: the verdict and the picture."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.curve import curve
from benchmarks.flatness import Sample, growth, is_flat, verdict

SECONDS = 3600.0


def samples(later: float) -> list[Sample]:
    """Return the samples of an hour: one process rises for ten minutes, the other one by `later` MiB ever after."""
    times = [10.0 * number for number in range(360)]
    return [sample(at, min(100.0, 40 + at / 10), 50 + later * max(0.0, at - 600) / 3000) for at in times]


def sample(at: float, one: float, two: float) -> Sample:
    """Return a sample in which files take 10 MiB of each process."""
    return Sample(at, {"one": one + 10, "two": two + 10}, {"one": one, "two": two})


@pytest.mark.fault(item="F69")
@pytest.mark.parametrize(("later", "flat"), [(0.0, True), (2.0, True), (-30.0, True), (5.0, False)])
def test_growth_is_compared_behind_the_first_ten_minutes(later: float, *, flat: bool) -> None:
    """The level of each five minutes is compared with that of the first five behind them."""
    grown = growth(samples(later), SECONDS)

    assert grown["one"] == 0
    assert grown["two"] == pytest.approx(max(0.0, later * 0.9 / (50 + later * 0.05)), abs=0.002)
    assert is_flat(grown) == flat
    words = "flat" if flat else "not flat"
    assert verdict(grown, SECONDS).splitlines()[-1] == f"{words} within 5% after the first 10 of 60 minutes"


def test_a_single_peak_is_no_growth() -> None:
    """A late joiner, or a large report, takes memory for a moment."""
    hour = samples(0.0)
    hour[200] = sample(hour[200].seconds, 400.0, 400.0)

    assert is_flat(growth(hour, SECONDS))


def test_the_picture_shows_each_process() -> None:
    """It is an image that a browser reads, with a line and a name for each."""
    drawn = ET.fromstring(curve([one[:2] for one in samples(1.0)], 600))  # noqa: S314 - our own

    kinds = [element.tag.rpartition("}")[2] for element in drawn.iter()]
    texts = [element.text for element in drawn.iter() if element.tag.endswith("text")]
    assert kinds.count("polyline") == 2
    assert {"one, 110 MiB", "two, 61 MiB", "60 min"} <= set(texts)
