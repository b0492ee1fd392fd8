"""What can be asked on the control sockets of both services: each method with its Structs, and who may ask it."""

from typing import Any, Final, NamedTuple

from msgspec import Struct

from bus.contracts import (
    adoption,
    archive,
    experiments,
    feedback,
    finding,
    jobs,
    listing,
    messages,
    outputs,
    queues,
    runners,
    shares,
)
from bus.protocol.control import (
    CheckParams,
    CheckReply,
    FetchParams,
    FetchReply,
    InfoReply,
    LatestParams,
    LatestReply,
    MetricsReply,
    NoParams,
    Role,
)

RUNNER: Final = "runner"
LEARNING: Final = "learning"


class Method(NamedTuple):
    """What can be asked on a control socket."""

    name: str
    params: type[Struct]
    result: Any
    services: tuple[str, ...]
    role: Role = "read"


BOTH: Final = (RUNNER, LEARNING)
METHODS: Final = (
    Method("info", NoParams, InfoReply, BOTH),
    Method("heartbeat", NoParams, dict[str, str], BOTH),
    Method("check", CheckParams, CheckReply, BOTH),
    Method("fetch", FetchParams, FetchReply, BOTH),
    Method("latest", LatestParams, LatestReply, BOTH),
    Method("metrics", NoParams, MetricsReply, BOTH),
    Method("job.submit", jobs.SubmitParams, jobs.SubmitReply, (RUNNER,), "command"),
    Method("job.check", jobs.SubmitParams, jobs.JobCheckReply, (RUNNER,), "command"),
    Method("job.submitters", jobs.SubmittersParams, jobs.SubmittersReply, (RUNNER,), "command"),
    Method("job.cancel", jobs.CancelParams, jobs.CancelReply, (RUNNER,), "command"),
    Method("job.retry", jobs.JobParams, jobs.JobView, (RUNNER,), "command"),
    Method("job.score", jobs.ScoreParams, jobs.ScoreReply, (RUNNER,), "command"),
    Method("job.adopt", adoption.AdoptPictureParams, adoption.AdoptPictureReply, (RUNNER,), "command"),
    Method("job.prioritize", queues.PrioritizeParams, queues.PrioritizeReply, (RUNNER,), "command"),
    Method("queue.pause", jobs.QueueParams, jobs.QueueReply, (RUNNER,), "command"),
    Method("queue.resume", jobs.QueueParams, jobs.QueueReply, (RUNNER,), "command"),
    Method("job.show", jobs.JobParams, jobs.JobView, (RUNNER,)),
    Method("job.preview", jobs.JobParams, jobs.PreviewReply, (RUNNER,)),
    Method("job.list", jobs.JobListParams, jobs.JobListReply, (RUNNER,)),
    Method("job.find", finding.FindParams, finding.FindReply, (RUNNER,)),
    Method("queue.list", queues.QueueListParams, queues.QueueListReply, (RUNNER,)),
    Method("pipelines", NoParams, jobs.PipelinesReply, (RUNNER,)),
    Method("output", outputs.OutputParams, outputs.OutputReply, (RUNNER,)),
    Method("output.find", outputs.OutputFindParams, outputs.OutputFindReply, (RUNNER,)),
    Method("output.usage", NoParams, outputs.OutputUsageReply, (RUNNER,)),
    Method("output.owners", outputs.OutputOwnersParams, outputs.OutputOwnersReply, (RUNNER,)),
    Method("output.remove", outputs.OutputRemoveParams, outputs.OutputRemoveReply, (RUNNER,), "command"),
    Method("output.sweep", outputs.OutputSweepParams, outputs.OutputSweepReply, (RUNNER,), "command"),
    Method("experiment.create", experiments.CreateParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.plan", experiments.PlanParams, experiments.PlanReply, (LEARNING,), "command"),
    Method("experiment.cancel", experiments.ExperimentCancelParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.stop", experiments.ExperimentParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.extend", experiments.ExtendParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.retry", experiments.RetryParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.set", experiments.SetParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.rename", experiments.RenameParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.archive", experiments.ExperimentParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.unarchive", experiments.ExperimentParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.delete", experiments.ExperimentParams, experiments.DeletedReply, (LEARNING,), "command"),
    Method("experiment.share", shares.ShareParams, shares.ShareView, (LEARNING,), "command"),
    Method("experiment.unshare", shares.UnshareParams, shares.UnshareReply, (LEARNING,), "command"),
    Method("experiment.shares", experiments.ExperimentParams, shares.ShareListReply, (LEARNING,)),
    Method("experiment.shared", shares.SharedParams, shares.SharedReply, (LEARNING,)),
    Method("experiment.records", archive.RecordsParams, archive.RecordsReply, (LEARNING,)),
    Method("experiment.adopt", adoption.AdoptParams, experiments.ExperimentView, (LEARNING,), "command"),
    Method("experiment.import", archive.ImportParams, archive.ImportReply, (LEARNING,), "command"),
    Method("history", archive.HistoryParams, archive.HistoryReply, (LEARNING,)),
    Method("experiment.recommend", experiments.ExperimentParams, messages.RecommendationUpdated, (LEARNING,)),
    Method("experiment.show", experiments.ExperimentParams, experiments.ExperimentView, (LEARNING,)),
    Method("experiment.list", experiments.ExperimentListParams, experiments.ExperimentListReply, (LEARNING,)),
    Method("experiment.find", finding.FindParams, finding.FindReply, (LEARNING,)),
    Method("experiment.index", listing.ExperimentIndexParams, listing.ExperimentIndexReply, (LEARNING,)),
    Method("experiment.overview", listing.OverviewParams, listing.OverviewReply, (LEARNING,)),
    Method("runner.list", NoParams, runners.RunnerListReply, (LEARNING,)),
    Method("runner.forget", runners.RunnerForgetParams, runners.RunnerForgetReply, (LEARNING,), "command"),
    Method("image.rate", feedback.RateParams, feedback.RatedReply, (LEARNING,), "command"),
    Method("rating.list", feedback.RatingListParams, feedback.RatingListReply, (LEARNING,)),
    Method("rating.next", feedback.RatingNextParams, feedback.RatingNextReply, (LEARNING,)),
    Method("rating.undo", feedback.UndoRatingParams, feedback.RatedReply, (LEARNING,), "command"),
    Method("comparison.next", feedback.PairNextParams, feedback.PairReply, (LEARNING,)),
    Method("comparison.add", feedback.CompareParams, feedback.ComparedReply, (LEARNING,), "command"),
    Method("comparison.undo", feedback.UndoComparisonParams, feedback.ComparedReply, (LEARNING,), "command"),
)
