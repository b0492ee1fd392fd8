"""The picture sets in memory are bounded by what they take, whatever sizes are asked for."""

import numpy as np
import pytest

from pipeline_runner.pipelines.embedded import subspace
from pipeline_runner.pipelines.embedded.pictures import COUNT
from pipeline_runner.pipelines.embedded.subspace import Span, span_of


def bytes_of(span: Span) -> int:
    """Return what its arrays take."""
    return sum(array.nbytes for array in (span.pictures, span.coordinates, span.inverse))


@pytest.mark.fault(item="F69")
def test_old_sizes_are_dropped_before_a_new_one_takes_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were used last stay, as many as fit; one that does not fit at all is the only one."""
    sets: dict[tuple[int, int], Span] = {}
    monkeypatch.setattr(subspace, "_spans", sets)
    monkeypatch.setattr(subspace, "CACHE_BYTES", 3 * (COUNT * (16 * 16 * 3 + 16 * COUNT)) + COUNT)
    together: list[int] = []

    def build(pictures: np.ndarray) -> Span:
        together.append(len(sets) + 1)
        matrix = np.zeros((COUNT, COUNT))
        return Span(pictures, matrix, matrix.copy(), np.zeros(COUNT), 1.0)

    monkeypatch.setattr(subspace, "build_span", build)
    monkeypatch.setattr(subspace, "draw_pictures", lambda width, height: np.zeros((COUNT, width * height * 3), np.int8))
    first = span_of(16, 16)
    span_of(16, 15)
    span_of(15, 16)
    assert span_of(16, 16) is first
    span_of(15, 15)

    assert list(sets) == [(15, 16), (16, 16), (15, 15)]
    assert max(together) == 3
    assert sum(bytes_of(one) for one in sets.values()) <= subspace.CACHE_BYTES
    span_of(128, 128)
    assert list(sets) == [(128, 128)]


def test_a_picture_takes_one_piece_of_memory_for_all_its_blocks() -> None:
    """With a new one for each block, the system needed four times as long to give the memory as the picture took."""
    pictures = np.arange(-128, 128, dtype=np.int8).repeat(5).reshape(2, 640)

    blocks = [(start, block, block.copy()) for start, block in subspace._blocks(pictures, np.float64)]

    assert all(np.shares_memory(block, blocks[0][1]) for _, block, _ in blocks)
    assert [start for start, *_ in blocks] == [0, 256, 512]
    assert (np.concatenate([content for *_, content in blocks], axis=1) == pictures).all()
