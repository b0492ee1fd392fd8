"""The pictures of a variant are kept as they are encoded: the same bytes, whichever way they came."""

import pytest
from msgspec import UNSET, DecodeError, Raw, msgpack
from msgspec.structs import replace

from bus.contracts.messages import ImageRef, decode_body
from learning_service.experiments import pictures, variants
from learning_service.experiments.model import packed_status, variant_status
from learning_service.experiments.variants import IMAGES_LIMIT, Variant
from tests.support.factories import EXPERIMENT, JobScript, context, image, planned_experiment, planned_jobs, well

MANY = [replace(image(str(number)), node=str(number) if number % 3 else UNSET) for number in range(40)]


@pytest.mark.parametrize("step", [1, 3, 15, 16, 17, 40])
def test_pictures_that_come_in_parts_are_those_that_come_together(step: int) -> None:
    """The header of the array grows at 16."""
    packed = pictures.NONE
    for start in range(0, len(MANY), step):
        before, so_far = bytes(packed), packed
        packed = pictures.with_more(packed, MANY[start : start + step], 1000)
        assert bytes(so_far) == before
        assert bytes(packed) == msgpack.encode(MANY[: start + step])
    assert pictures.unpack(packed) == tuple(MANY)
    assert bytes(pictures.pack(MANY)) == bytes(packed)


@pytest.mark.parametrize(("limit", "kept"), [(0, 2), (2, 2), (3, 3), (17, 17), (40, 40)])
def test_the_first_pictures_up_to_the_limit_are_kept(limit: int, kept: int) -> None:
    """Also where more come together than there is room for."""
    packed = pictures.with_more(pictures.pack(MANY[:2]), MANY[2:], limit)

    assert pictures.unpack(packed) == tuple(MANY[:kept])


@pytest.mark.parametrize("data", [b"\x91\x01", b"\x91\x80", b"\xa1a", b"\x91\xa1\xff"])
def test_what_are_no_pictures_is_found(data: bytes) -> None:
    """When a stored variant is read, and not first by a reader of its status."""
    with pytest.raises((DecodeError, UnicodeDecodeError)):
        pictures.unpack(Raw(data))


@pytest.mark.parametrize("count", [0, 1, 20])
def test_a_status_to_be_encoded_is_the_status(count: int) -> None:
    """To the byte, and a stored state is what it was."""
    experiment = planned_experiment(jobs=1)
    variant = experiment.variants[0]
    if count:
        variant = variants.job_ended(variant, JobScript(context()).completed(well(*map(str, range(count)))))

    told = msgpack.encode(packed_status(experiment, variant))

    assert told == msgpack.encode(variant_status(experiment, variant))
    assert decode_body(told) == variant_status(experiment, variant)
    stored = msgpack.encode(variant)
    assert msgpack.decode(stored, type=Variant) == variant
    assert len(msgpack.decode(stored).get("images", [])) == count


def test_each_picture_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are in the variant already, and however often its state is told and stored."""
    experiment = planned_experiment((2.0,), jobs=300)
    variant, encoded, encode = experiment.variants[0], [0], pictures._encode

    def counted(one: ImageRef) -> bytes:
        encoded[0] += 1
        return encode(one)

    monkeypatch.setattr(pictures, "_encode", counted)
    for repeat in range(300):
        variant = variants.job_ended(variant, JobScript(context(repeat=repeat)).completed(well(f"{repeat}")))
        msgpack.encode(packed_status(experiment, variant))
        msgpack.encode(variant)

    assert encoded == [300]
    assert len(variant.images) == 300 < IMAGES_LIMIT


def test_a_variant_has_the_name_of_its_experiment_in_its_status() -> None:
    """As the other fields are those of the readable status."""
    told = packed_status(planned_experiment(), Variant(index=0, value=2.0, jobs=planned_jobs()))
    assert (told.experiment_id, told.status, told.planned) == (EXPERIMENT, "pending", len(planned_jobs()))


def test_where_a_picture_may_be_is_told_without_the_disk() -> None:
    """Its variant has all pictures of its jobs, unless one of them has failed or there are too many."""
    made = variants.job_ended(planned_experiment(jobs=2).variants[0], JobScript(context()).completed(well("a", "b")))
    first, second = (one.sha256 for one in made.images)

    assert variants.may_have(made, first[:8])
    assert not variants.may_have(made, "0" * 64)
    assert variants.hashes_of(made) == {first, second}
    for other in (replace(made, failed=1), replace(made, packed=pictures.pack([image("a")] * IMAGES_LIMIT))):
        assert variants.may_have(other, "0" * 64)
        assert not variants.hashes_of(other)
