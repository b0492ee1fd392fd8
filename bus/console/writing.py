"""Files that commands write: whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final

from bus.protocol.validation import InvalidInputError

NEW_MODE: Final = 0o644  # of a new file; that of a temporary file would admit only its owner
NAME_LIMIT: Final = 60  # characters of a file's name in that of its temporary file


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file whose content becomes that of a path at the end, at once; the mode of a file there is kept.

    What is there and is no file, such as a pipe or a device, is never replaced: it is written to.

    Raises:
        InvalidInputError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        target = path.resolve()  # a link stays one
        with NamedTemporaryFile(dir=target.parent, prefix=f".{target.name[:NAME_LIMIT]}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(target.stat().st_mode if target.exists() else NEW_MODE)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be written ({error.strerror})") from None
