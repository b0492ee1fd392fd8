"""Pictures that were made elsewhere: each becomes the result of a job that has ended, though it never ran here."""

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from bus.contracts.adoption import PICTURE_MOST, AdoptPictureParams, AdoptPictureReply
from bus.contracts.messages import ImageRef, JobResult
from bus.contracts.topics import JOB_COMPLETED
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError
from bus.protocol.validation import InvalidInputError
from bus.transport.server import MethodServer
from bus.transport.steps import Steps, in_thread, wait
from pipeline_runner.outputs.files import Outputs
from pipeline_runner.queue.jobs import NormalizedJobRecord, new_record
from pipeline_runner.queue.messages import completed_message, topic_of
from pipeline_runner.queue.store import JobStore

FOLDER: Final = ".adopting"  # in the output folder: pictures of which parts are still to come
EndWriter = Callable[[Transaction, Sequence[NormalizedJobRecord]], None]


class Adopting:
    """Takes pictures in parts; what was not whole when the runner ended is sent again."""

    def __init__(self, log: Log, store: JobStore, outputs: Outputs, note_ends: Sequence[EndWriter]) -> None:
        """`note_ends` are called in the transaction in which a job ends."""
        self._log, self._store, self._outputs, self._note_ends = log, store, outputs, note_ends
        self._job_limit = log.limits.job_bytes
        self._folder = outputs.root / FOLDER
        self._saving: dict[str, Future[ImageRef]] = {}  # by job
        shutil.rmtree(self._folder, ignore_errors=True)

    def register(self, methods: MethodServer) -> None:
        """Answer requests."""
        methods.add_steps("job.adopt", AdoptPictureParams, self._adopt)

    def _adopt(self, params: AdoptPictureParams) -> Steps[AdoptPictureReply]:
        context = params.job.learning_context
        if context is None:
            raise InvalidInputError("job.learning_context: missing; a picture is adopted into an experiment")
        size = len(msgspec.msgpack.encode(params.job))
        if size > self._job_limit:
            raise InvalidInputError(f"job.config: the job has {size} bytes, over {self._job_limit}; shorten its texts")
        topic = topic_of(JOB_COMPLETED, context)  # raises if no topic can be made of it
        name = params.job.job_id
        while busy := self._saving.get(name):  # the same request came before, and its answer was not waited for
            yield busy
        if self._is_known(params):
            return AdoptPictureReply(received=params.size, done=True)
        path = self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}{_suffix(params.name)}"
        with self._outputs.writing():
            received = _append(path, params.offset, params.data)
        if received < params.size:
            return AdoptPictureReply(received=received, done=False)
        record = new_record(params.job, time.time())
        self._saving[name] = in_thread(partial(self._save, record, path, params), "adopt")
        try:
            image = yield from wait(self._saving[name])
        finally:
            del self._saving[name]
            path.unlink(missing_ok=True)
        result = JobResult(success=True, images=(image,), untimed=True)
        ended = msgspec.structs.replace(record, state="completed", result=result, finished_at=time.time())
        with self._log.transaction(sync=True) as tx:
            inserted = self._store.insert(tx, [ended])
            for one in inserted:
                for note in self._note_ends:
                    note(tx, [one])
                tx.append(topic, completed_message(one))
        if not inserted:  # a job of this id was submitted meanwhile
            self._is_known(params)
        return AdoptPictureReply(received=received, done=True)

    def _is_known(self, params: AdoptPictureParams) -> bool:
        """Return whether the job has ended with this picture.

        Raises:
            ControlError: it has another one, or is another job.
        """
        known = self._store.get(params.job.job_id)
        if known is None:
            return False
        if known.result is None or params.sha256 not in {image.sha256 for image in known.result.images}:
            raise ControlError("conflict", f"job {known.job_id} is here already with another result")
        return True

    def _save(self, record: NormalizedJobRecord, path: Path, params: AdoptPictureParams) -> ImageRef:
        """Move a whole picture to the results; not in the loop's thread, as it is decoded for its thumbnail."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != params.sha256:
            raise InvalidInputError(f"data: the content does not match {params.sha256}; send all of it again")
        image, _ = self._outputs.save_file(record, path, PICTURE_MOST, seed=params.seed, name=params.name)
        self._outputs.take_warnings(record.job_id)  # the file is as it was; there is nobody who could make it anew
        return image


def _suffix(name: str) -> str:
    """Return a suffix that is harmless as part of a file's name."""
    suffix = Path(name).suffix[:20]
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() else ""


def _append(path: Path, offset: int, data: bytes) -> int:
    """Add a part to a file that is as long as the offset says, which is 0 for a new one; return how long it is then."""
    if offset == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return len(data)
    with suppress(FileNotFoundError), path.open("r+b") as file:
        size = file.seek(0, 2)
        return size + file.write(data) if size == offset else size
    return 0
