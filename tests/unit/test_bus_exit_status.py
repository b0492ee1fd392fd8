"""The exit status of a service tells its supervisor whether somebody has to act first."""

import pytest

from bus.console.process import EXIT_REFUSED, EXIT_UNEXPECTED, user_errors
from bus.eventlog.errors import DiskError, LogError, StorageError


@pytest.mark.fault(item="F55")
@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (LogError("some.db is no variantbus log"), EXIT_REFUSED, "some.db is no variantbus log"),
        (DiskError("some.db failed: Input/output error"), EXIT_UNEXPECTED, "some.db failed: Input/output error"),
        (
            StorageError("some.db cannot be written: No space left on device"),
            EXIT_REFUSED,
            "some.db cannot be written: No space left on device; make room and start again",
        ),
    ],
)
def test_an_error_of_the_log_is_one_sentence_and_a_status(
    error: Exception, status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """1: a restart reads what is there; 4: somebody has to act."""
    with pytest.raises(SystemExit) as ended, user_errors():
        raise error

    assert ended.value.code == status
    assert capsys.readouterr().err == f"Error: {sentence}\n"
