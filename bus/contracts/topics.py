"""The topics of our services, without the tokens that name an experiment and a variant."""

from typing import Final

JOB_QUEUED: Final = "job.queued."
JOB_STARTED: Final = "job.started."
JOB_COMPLETED: Final = "job.completed."
JOB_PROGRESS: Final = "job.progress."
EXPERIMENT_STATUS: Final = "experiment.status."
VARIANT_STATUS: Final = "variant.status."
VARIANT_PROGRESS: Final = "variant.progress."
IMAGE_RATED: Final = "image.rated."
IMAGES_COMPARED: Final = "images.compared."
RECOMMENDATION_UPDATED: Final = "recommendation.updated."
EVENT_REJECTED: Final = "event.rejected."

# The newest message of these is the whole state of something: services open their logs so that it is always kept.
STATE_TOPICS: Final = (EXPERIMENT_STATUS, VARIANT_STATUS, RECOMMENDATION_UPDATED)
