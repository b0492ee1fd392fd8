"""Links by which others see one experiment, without an account: made, listed, revoked, and looked up."""

import time

from bus.contracts.experiments import ExperimentParams
from bus.contracts.shares import (
    MOST,
    SharedParams,
    SharedReply,
    ShareListReply,
    ShareParams,
    ShareView,
    UnshareParams,
    UnshareReply,
)
from bus.eventlog.log import Log
from bus.protocol.control import ControlError
from bus.transport.server import MethodServer
from learning_service.storage.finding import find_pictures
from learning_service.storage.store import LearningStore


class Sharing:
    """Keeps the digests of tokens; what a token opens is the business of the dashboard that made it."""

    def __init__(self, log: Log, store: LearningStore) -> None:
        """Wire the parts."""
        self._log, self._store, self._shares = log, store, store.shares

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add("experiment.share", ShareParams, self._share)
        methods.add("experiment.unshare", UnshareParams, self._unshare)
        methods.add("experiment.shares", ExperimentParams, self._list, role="read")
        methods.add("experiment.shared", SharedParams, self._shared, role="read")

    def _share(self, params: ShareParams) -> ShareView:
        name, now = self._store.get(params.experiment_id).experiment_id, time.time()
        known = self._shares.find(params.digest, 0.0)  # also one that has expired: its row is that of its experiment
        if known and known.experiment_id != name:
            raise ControlError("conflict", "digest: another experiment has this link; make a new one")
        if sum(one.digest != params.digest for one in self._shares.of(name, now)) >= MOST:
            raise ControlError("conflict", f"{name} has {MOST} links; revoke one of them first")
        expires_at = None if params.seconds is None else now + params.seconds
        created_at = known.created_at if known else now
        share = ShareView(digest=params.digest, experiment_id=name, created_at=created_at, expires_at=expires_at)
        with self._log.transaction(sync=True) as tx:
            self._shares.write(tx, share, now)
        return share

    def _unshare(self, params: UnshareParams) -> UnshareReply:
        name = self._store.get(params.experiment_id).experiment_id
        share = self._shares.find(params.digest, 0.0)
        if share is None or share.experiment_id != name:
            return UnshareReply(removed=False)
        with self._log.transaction(sync=True) as tx:
            self._shares.remove(tx, share)
        return UnshareReply(removed=True)

    def _list(self, params: ExperimentParams) -> ShareListReply:
        name = self._store.get(params.experiment_id).experiment_id
        return ShareListReply(shares=self._shares.of(name, time.time()))

    def _shared(self, params: SharedParams) -> SharedReply:
        share = self._shares.find(params.digest, time.time())
        if share is None or self._store.find(share.experiment_id) is None:
            raise ControlError("not_found", "no such link, or it holds no more")
        has_image = params.image is not None and bool(find_pictures(self._store, share.experiment_id, params.image))
        self._store.trim()
        return SharedReply(share=share, has_image=has_image)
