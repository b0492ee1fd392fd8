"""The methods of the control socket for results: read by hash, list owners, remove and sweep."""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bus.contracts.outputs import (
    OutputFindParams,
    OutputFindReply,
    OutputOwner,
    OutputOwnersParams,
    OutputOwnersReply,
    OutputParams,
    OutputRemoveParams,
    OutputRemoveReply,
    OutputReply,
    OutputSweepParams,
    OutputSweepReply,
    OutputUsageReply,
)
from bus.eventlog.log import Log
from bus.eventlog.transaction import Transaction
from bus.protocol.control import ControlError, NoParams
from bus.transport.server import MethodServer
from bus.transport.steps import Steps
from pipeline_runner.outputs import safe_paths, thumbnails
from pipeline_runner.outputs.cleaning import Cleaner
from pipeline_runner.outputs.files import Outputs, thumbnail_path
from pipeline_runner.outputs.index import Copy, OutputIndex
from pipeline_runner.outputs.intact import Intact, unsealed

logger = logging.getLogger(__name__)
SEE: Final = "see `variantbus job list`"


class OutputMethods:
    """The methods `output…`. A path never comes from a request: hashes and ids are looked up in the index."""

    def __init__(
        self,
        methods: MethodServer,
        log: Log,
        index: OutputIndex,
        outputs: Outputs,
        removed: Callable[[Transaction, list[str]], None],
        elsewhere: Callable[[str], Steps[list[Copy]]] | None = None,
    ) -> None:
        """Register the methods; `removed` is called with jobs in the transaction that removes them.

        `elsewhere` fetches what other runners have made, by its hash.
        """
        self._root, self._index, self._outputs = outputs.root, index, outputs
        self._intact = Intact(outputs.root)
        self._part_bytes = log.limits.page_bytes
        self._cleaner = Cleaner(log, index, outputs.root, removed)
        if elsewhere:
            self._elsewhere = elsewhere
            methods.add_steps("output", OutputParams, self._output_anywhere, role="read")
        else:
            methods.add("output", OutputParams, self._output, role="read")
        methods.add("output.find", OutputFindParams, self._find, role="read")
        methods.add("output.owners", OutputOwnersParams, self._owners, role="read")
        methods.add_steps("output.usage", NoParams, self._usage, role="read")
        methods.add("output.remove", OutputRemoveParams, self._remove)
        methods.add("output.sweep", OutputSweepParams, self._sweep)

    def _output_anywhere(self, params: OutputParams) -> Steps[OutputReply]:
        """Answer for what was made here, or else for what another runner of the cluster has made."""
        copies = self._index.copies(params.sha256)
        if not any(self._is_here(copy, params.sha256) for copy in copies):
            copies += yield from self._elsewhere(params.sha256)
        return self._of_copies(params, copies)

    def _is_here(self, copy: Copy, sha256: str) -> bool:
        try:
            return self._intact.is_intact(copy.path, sha256)
        except OSError:
            return False

    def _output(self, params: OutputParams) -> OutputReply:
        return self._of_copies(params, self._index.copies(params.sha256))

    def _of_copies(self, params: OutputParams, copies: list[Copy]) -> OutputReply:
        if not copies:
            raise ControlError("not_found", f"no job of this runner has made {params.sha256}; {SEE}")
        if params.thumbnail:
            small = self._thumbnail(params.sha256, copies)
            if small:
                end = params.offset + self._part_bytes
                return _reply(params, thumbnails.MEDIA_TYPE, safe_paths.Part(small[params.offset : end], len(small)))
        return self._part(params, copies)

    def _part(self, params: OutputParams, copies: list[Copy]) -> OutputReply:
        """Read from the first file that has the content of its hash."""
        why = ""
        for copy in copies:
            try:
                if self._intact.is_intact(copy.path, params.sha256):
                    part = safe_paths.read_part(self._root, copy.path, params.offset, self._part_bytes)
                    return _reply(params, copy.media_type, part)
                logger.error("%s is damaged: its content does not match its hash", copy.path)
                why = "is damaged: its content does not match its hash"
            except OSError as error:
                why = why or f"was removed or replaced ({error.strerror or error})"
        raise ControlError("not_found", f"{params.sha256}: its file {why}")

    def _thumbnail(self, sha256: str, copies: list[Copy]) -> bytes:
        """Return a thumbnail, b"" where the result itself is small enough to be one; a damaged one is made anew."""
        with suppress(OSError):
            part = safe_paths.read_part(self._root, thumbnail_path(sha256), 0, thumbnails.MOST_BYTES)
            small = unsealed(part.data)
            if small is None:
                logger.error("%s is damaged, and made anew", thumbnail_path(sha256))
                whole = (copy.path for copy in copies if self._intact.is_intact(copy.path, sha256))
                small = self._outputs.renew_thumbnail(next(whole, ""), sha256)
            if small is not None:
                return small
        text = f"{sha256}: has no thumbnail, as it is no PNG, JPEG or WebP picture that could be read"
        raise ControlError("not_found", text)

    def _find(self, params: OutputFindParams) -> OutputFindReply:
        return OutputFindReply(outputs=self._index.find(params.prefix))

    def _owners(self, params: OutputOwnersParams) -> OutputOwnersReply:
        """Return one page; the jobs of no experiment come first."""
        before = params.ended_before
        found: list[OutputOwner] = []
        if params.after is None and (outside := self._index.summary(None, before)).jobs:
            found.append(outside)
        experiments = self._index.owners(before, params.after or "", params.limit)
        found += [self._index.summary(one, before) for one in experiments if not self._index.is_at_work(one)]
        return OutputOwnersReply(owners=found, after=experiments[-1] if len(experiments) == params.limit else None)

    def _usage(self, _params: NoParams) -> Steps[OutputUsageReply]:
        files, taken = yield from self._index.usage()
        # the folder is made with the first result, on the disk of the one above
        disk = shutil.disk_usage(next(one for one in (self._root, *self._root.parents) if one.exists()))
        return OutputUsageReply(files=files, bytes=taken, disk_total=disk.total, disk_free=disk.free)

    def _remove(self, params: OutputRemoveParams) -> OutputRemoveReply:
        owners: list[str | None] = [*params.experiment_ids, *([None] if params.outside else [])]
        gone = self._cleaner.remove(owners, params.ended_before, params.limit)
        return OutputRemoveReply(files=gone.files, bytes=gone.bytes, jobs=gone.jobs, more=gone.more, busy=gone.busy)

    def _sweep(self, params: OutputSweepParams) -> OutputSweepReply:
        gone = self._cleaner.sweep(params.after, params.limit, dry_run=params.dry_run)
        return OutputSweepReply(files=gone.files, bytes=gone.bytes, after=gone.after)


def _reply(params: OutputParams, media_type: str, part: safe_paths.Part) -> OutputReply:
    return OutputReply(
        sha256=params.sha256, media_type=media_type, size=part.size, offset=params.offset, data=part.data
    )
