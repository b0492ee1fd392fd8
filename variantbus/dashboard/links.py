"""Links by which others see one experiment. A token is made here, told once, and kept nowhere: only its digest is."""

import hashlib
import re
import secrets
from typing import Any, Final

from bus.contracts.experiments import ExperimentParams
from bus.contracts.jobs import JobParams, JobView
from bus.contracts.shares import (
    SharedParams,
    SharedReply,
    ShareListReply,
    ShareParams,
    ShareView,
    UnshareParams,
    UnshareReply,
)
from bus.protocol.control import ControlError
from bus.protocol.doors import take
from bus.transport.client import request
from bus.transport.keys import Keys

TOKEN_BYTES: Final = 32  # of chance, twice what nobody can guess
TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Links:
    """Makes, lists and revokes links, and says what a token opens. Tokens are found by their digests alone.

    So the time that an answer takes tells nothing of a token: nobody can choose how a digest begins.
    """

    def __init__(self, runner: str, learning: str, keys: Keys | None) -> None:
        """Keep the addresses."""
        self._runner, self._learning, self._keys = runner, learning, keys

    def all(self, experiment_id: str) -> list[ShareView]:
        """Return the links of an experiment that hold."""
        params = ExperimentParams(experiment_id=experiment_id)
        return request(self._learning, "experiment.shares", params, ShareListReply, keys=self._keys).shares

    def make(self, experiment_id: str, body: Any) -> dict[str, Any]:
        """Make a link, for the `seconds` in `body` or for ever; return its token and what is known of it."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        params = take({**_map(body), "experiment_id": experiment_id, "digest": digest_of(token)}, ShareParams)
        share = request(self._learning, "experiment.share", params, ShareView, keys=self._keys)
        return {"token": token, "share": share}

    def revoke(self, experiment_id: str, body: Any) -> UnshareReply:
        """Let the link with the `digest` in `body` hold no more."""
        params = take({**_map(body), "experiment_id": experiment_id}, UnshareParams)
        return request(self._learning, "experiment.unshare", params, UnshareReply, keys=self._keys)

    def experiment(self, token: str) -> str:
        """Return the experiment that a token opens.

        Raises:
            ControlError: `not_found`: none, or no more.
        """
        return self._shared(token).share.experiment_id

    def has_image(self, token: str, sha256: str) -> bool:
        """Return whether a token opens a result."""
        return self._shared(token, sha256).has_image

    def has_job(self, experiment_id: str, job_id: str) -> bool:
        """Return whether a job is one of an experiment."""
        job = request(self._runner, "job.show", JobParams(job_id=job_id), JobView, keys=self._keys)
        return job.learning_context is not None and job.learning_context.experiment_id == experiment_id

    def _shared(self, token: str, image: str | None = None) -> SharedReply:
        if not TOKEN.fullmatch(token):
            raise ControlError("not_found", "no such link, or it holds no more")
        params = SharedParams(digest=digest_of(token), image=image)
        return request(self._learning, "experiment.shared", params, SharedReply, keys=self._keys)


def digest_of(token: str) -> str:
    """Return the digest of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _map(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {"input": body}
