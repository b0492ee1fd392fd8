"""The topics of our services, without the tokens that name an experiment and a variant, and what messages are about."""

from typing import Final

from bus.contracts.messages import (
    EventRejected,
    ImageRated,
    ImagesCompared,
    JobCompleted,
    JobProgress,
    JobQueued,
    JobScored,
    JobStarted,
    Message,
)
from bus.protocol.topics import TopicError, as_prefix
from bus.protocol.validation import closest

JOB_QUEUED: Final = "job.queued."
JOB_STARTED: Final = "job.started."
JOB_COMPLETED: Final = "job.completed."
JOB_PROGRESS: Final = "job.progress."
JOB_SCORED: Final = "job.scored."
EXPERIMENT_STATUS: Final = "experiment.status."
VARIANT_STATUS: Final = "variant.status."
VARIANT_PROGRESS: Final = "variant.progress."
IMAGE_RATED: Final = "image.rated."
IMAGES_COMPARED: Final = "images.compared."
RECOMMENDATION_UPDATED: Final = "recommendation.updated."
EVENT_REJECTED: Final = "event.rejected."

# The newest message of these is the whole state of something: services open their logs so that it is always kept.
STATE_TOPICS: Final = (EXPERIMENT_STATUS, VARIANT_STATUS, RECOMMENDATION_UPDATED)

NAMES: Final = tuple(
    topic.rstrip(".")
    for topic in (
        *(
            JOB_QUEUED,
            JOB_STARTED,
            JOB_COMPLETED,
            JOB_PROGRESS,
            JOB_SCORED,
            EXPERIMENT_STATUS,
            VARIANT_STATUS,
            VARIANT_PROGRESS,
        ),
        *(IMAGE_RATED, IMAGES_COMPARED, RECOMMENDATION_UPDATED, EVENT_REJECTED),
    )
)


def check_known(text: str) -> None:
    """Refuse what a person has typed as a prefix if no topic of our services begins so: nothing would ever come.

    Raises:
        TopicError: it is no prefix, or of no topic; with the topic that was perhaps meant, and all that there are.
    """
    prefix = as_prefix(text)
    if any(f"{name}.".startswith(prefix) or prefix.startswith(f"{name}.") for name in NAMES):
        return
    begins = next((name for name in NAMES if name.startswith(text)), "")
    firsts = [name.partition(".")[0] for name in NAMES]
    meant = begins or closest(text.replace("_", "."), [*NAMES, *firsts])
    hint = f"did you mean {meant}? " if meant else ""
    raise TopicError(f"{text!r}: no topic of the services begins so; {hint}there are: {', '.join(NAMES)}")


def subject_of(message: Message) -> str:
    """Return what a message is about beside its topic: a newer one of the same topic and subject replaces it.

    "" where the topic says it all, as with the state of a variant.
    """
    match message:
        case JobQueued() | JobStarted() | JobProgress() | JobCompleted() | JobScored():
            return message.job_id
        case ImageRated():
            return message.sha256
        case ImagesCompared():
            return f"{message.left} {message.right}"
        case EventRejected():
            return f"{message.topic} {message.offset} {message.job_id or ''}"
        case _:
            return ""
