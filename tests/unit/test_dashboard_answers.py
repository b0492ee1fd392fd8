"""How answers of the dashboard travel, and what a page loads of an experiment."""

import gzip
from typing import Any

import pytest
from msgspec import UNSET

from bus.contracts.archive import ComparisonRecord, PictureRecord, RatingRecord, ResultRecord
from tests.support.factories import image
from variantbus.dashboard.compression import LEAST, packed, takes_gzip
from variantbus.dashboard.snapshot import snapshot_of

LONG = b"x" * LEAST


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("identity, *;q=0.1", True),
        ("gzip;q=0, *", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("", False),
        ("gzip;level=1", True),
    ],
)
def test_what_a_client_does_not_take_is_not_compressed(accepted: str, takes: bool) -> None:
    """As RFC 9110 has it: a weight of zero is a refusal, and a star is all that is not named."""
    data, headers = packed(LONG, accepted)

    assert takes_gzip(accepted) is takes
    assert headers.get("content-encoding") == ("gzip" if takes else None)
    assert headers["vary"] == "accept-encoding"
    assert (gzip.decompress(data) if takes else data) == LONG


def test_what_fits_into_a_packet_is_sent_as_it_is() -> None:
    """Compressing it would save nothing."""
    assert packed(LONG[1:], "gzip") == (LONG[1:], {})


def result(repeat: int, **more: Any) -> ResultRecord:
    """Return how a job ended."""
    return ResultRecord(
        job_id=f"e.0.{repeat}.0", variant_index=0, repeat_index=repeat, state="completed", finished_at=2.5, **more
    )


def test_a_page_loads_each_picture_once_and_nothing_empty() -> None:
    """The variants come without their pictures, which the cells have; where a file lies is nothing for a browser."""
    view = {"experiment_id": "e", "variants": [{"variant_index": 0, "images": [{"sha256": "a"}], "planned": 2}]}
    results = [result(0, metrics={"match": 0.5}, warnings=("slow",), reused_from="d.0.0.0"), result(1)]
    pictures = [PictureRecord(job_id="e.0.0.0", variant_index=0, repeat_index=0, image=image("a"))]
    ratings = [RatingRecord(sha256="a", stars=4)]
    compared = [
        ComparisonRecord(
            left="a", left_variant=0, left_repeat=0, right="b", right_variant=1, right_repeat=0, outcome="tie"
        )
    ]

    made = snapshot_of(view, results, pictures, ratings, compared)

    place = {"variant_index": 0, "state": "completed", "finished_at": 2.5}
    first, second = made["cells"]
    (shown,) = first.pop("images")
    assert made["experiment"] == {"experiment_id": "e", "variants": [{"variant_index": 0, "planned": 2}]}
    assert first == {
        "job_id": "e.0.0.0",
        "repeat_index": 0,
        "metrics": {"match": 0.5},
        "warnings": ("slow",),
        "reused": True,
        **place,
    }
    assert second == {"job_id": "e.0.1.0", "repeat_index": 1, **place}
    assert (shown["sha256"], "path" in shown, UNSET in shown.values()) == ("a", False, False)
    assert (made["ratings"], made["comparisons"]) == (ratings, compared)
