"""What can be asked about pictures that exist: an experiment is made of them, and a runner keeps them.

`*Params` are parameters of a method, `*Reply` its answer; `docs/protocol.md` lists the methods.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from bus.contracts.definition import ExperimentDefinition
from bus.contracts.fields import SEED_MAX, NewId, VariantValue
from bus.contracts.jobs import JobRequest
from bus.contracts.outputs import Sha256

PICTURE_MOST: Final = 64 << 20


class AdoptPictureParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`job.adopt`: part of a picture that was made elsewhere, as the result of a job that never ran here.

    The parts come one after another, each with the same `job`, which belongs to an experiment, `name` and `size`. With
    the last one the job has ended; its settings are not checked, as nothing runs.
    """

    job: JobRequest
    sha256: Sha256  # of the whole file
    name: Annotated[str, Meta(min_length=1, max_length=255)]  # of the file, for people and its suffix
    size: Annotated[int, Meta(ge=1, le=PICTURE_MOST)]  # bytes of the whole file
    offset: Annotated[int, Meta(ge=0, le=PICTURE_MOST)] = 0
    data: bytes = b""
    seed: Annotated[int, Meta(ge=0, extra_json_schema={"maximum": SEED_MAX})] | None = None


class AdoptPictureReply(Struct, frozen=True, kw_only=True):
    """How many bytes are there, behind which the next part begins; `done`: the job has ended with the picture."""

    received: int
    done: bool


class AdoptParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`experiment.adopt`: an experiment of pictures that exist, or more values for one.

    `values` are those of its variants, by their indices; those that it has already come first, as they are. Jobs come
    from a runner, see `job.adopt`.
    """

    experiment_id: NewId
    definition: ExperimentDefinition
    values: Annotated[list[VariantValue], Meta(min_length=1)]
