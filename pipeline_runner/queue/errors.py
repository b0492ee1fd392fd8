"""Why jobs are not taken into the queue now."""


class QueueFullError(Exception):
    """The queue of a pipeline is full; nothing was queued. `capacity_left` is how many jobs it would take."""

    def __init__(self, pipeline: str, capacity_left: int, limit: int) -> None:
        """Name the limit."""
        super().__init__(f"{pipeline} has room for {capacity_left} more jobs of {limit} (queued_jobs); try again later")
        self.pipeline, self.capacity_left = pipeline, capacity_left


class StillCancellingError(Exception):
    """Jobs of an experiment are still being cancelled; nothing was queued, as new ones would be cancelled with them."""

    def __init__(self, experiment_id: str) -> None:
        """Name the experiment."""
        super().__init__(f"jobs of {experiment_id} are still being cancelled; try again in a moment")
