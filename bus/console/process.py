"""The frame around a command: exit codes, errors as sentences, and the loop of a service until a signal.

Needs the extra `cli` (click).
"""

import atexit
import ctypes
import errno
import gc
import ipaddress
import logging
import os
import resource
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import click

from bus.eventlog.errors import DiskError, LogError, StorageError
from bus.protocol.addresses import AddressError
from bus.protocol.control import ControlError
from bus.protocol.identity import WrongFeed
from bus.protocol.recovery import Notice
from bus.protocol.topics import TopicError
from bus.protocol.validation import InvalidInputError
from bus.telemetry.logging import escaped
from bus.telemetry.streams import accept_all_text
from bus.transport.attempts import impatience
from bus.transport.keys import Keys
from bus.transport.loop import Loop
from bus.transport.sockets import BindError

# Messages form no reference cycles, so the garbage collector need not search each batch for them many times.
SWITCH_SECONDS: Final = 0.0005  # that a thread which computes keeps the loop's thread waiting, each time it has read
GC_ALLOCATIONS: Final = 50_000
# mallopt's numbers and values, from glibc's malloc.h. By default each thread may get a heap of its own, and the size
# from which on a block is given back to the system at once rises with the largest: a page of 1 MiB left holes behind.
ALLOCATOR: Final = {-8: 1, -3: 131_072, -1: 131_072}  # M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD in bytes
WRITE_FAULTS: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
EXIT_UNEXPECTED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_CONNECTION: Final = 3
EXIT_REFUSED: Final = 4  # by a service, or a job failed
EXIT_TIMEOUT: Final = 5
EXIT_SIGNAL: Final = 128  # plus the signal's number
ARGUMENT_SHOWN: Final = 80  # characters of one that is wrong
FEW_DESCRIPTORS: Final = 1024  # the usual minimum of operating systems
LIFELINE: Final = "VARIANTBUS_LIFELINE"  # set by our own commands alone: see `end_with_parent`
STOP_SECONDS: Final = 6.0  # a service drains and ends within 5
EXIT_SECONDS: Final = 5.0  # for the interpreter to end, when all is closed; far more than a busy machine needs
logger = logging.getLogger(__name__)


def check_exposure(host: str, keys: Keys | None, *, insecure: bool) -> None:
    """Check that other machines can reach a service only with keys, unless `--insecure` allows it.

    Raises:
        UsageError: they could without keys.
    """
    if keys is None and not insecure and not is_loopback(host):
        text = f"--host {host} lets other machines in: give --keys (see `variantbus keygen`), or --insecure if all may"
        raise click.UsageError(text)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host; False for a name, which may mean any address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def announce(service: str, **addresses: object) -> None:
    """Print the one line that announces a ready process and its addresses."""
    parts = " ".join(f"{name}={address}" for name, address in addresses.items())
    try:
        click.echo(f"listening service={service} {parts}")  # which flushes
    except OSError:  # the reader has exited, or its disk is full: the service continues
        discard_stdout()


def discard_stdout() -> None:
    """Discard buffered output, so that the interpreter does not fail to flush it at exit: its reader is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_service(command: click.Command) -> None:
    """Run the command of a service as this process; Ctrl-C before its loop runs ends it quietly, with status 130."""
    accept_all_text()
    end_with_parent()
    signal.signal(signal.SIGINT, lambda *_: sys.exit(EXIT_SIGNAL + signal.SIGINT))  # click would say "Aborted!"
    command()


def end_with_parent() -> None:
    """End this process in good order when the command that started it is gone, in whichever way that has ended.

    Such a command puts the reading end of a pipe, and a mark of its data folder, into the variable LIFELINE. It alone
    has the writing end, so the pipe ends with it, also by `kill -9`.
    """
    number, _, _ = os.environ.pop(LIFELINE, "").partition(" ")  # what we start is not meant by it
    if not number.isdigit():
        return
    try:
        is_pipe = stat.S_ISFIFO(os.fstat(int(number)).st_mode)
    except OSError:
        return
    if is_pipe:
        os.set_inheritable(int(number), False)
        threading.Thread(target=_end_after, args=(int(number),), name="lifeline", daemon=True).start()


def _end_after(pipe: int) -> None:
    """Wait for the end of a pipe, then end this process: ask, and force."""
    while os.read(pipe, 1):
        pass
    end_within(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def end_within(seconds: float) -> None:
    """Let the system end this process, if it has not ended by then.

    No thread of ours could: the interpreter runs none while it ends, and an image library may wait for ever then, for
    a job's thread that still computes (OpenBLAS does).
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def end_now() -> NoReturn:
    """End this process well, without waiting for threads that were abandoned, nor for libraries that wait for them."""
    os._exit(0)  # nothing is lost: lines are written out one by one


def _set_allocator() -> None:
    """Let memory that is free go back to the system, where the C library is glibc; before threads are started."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        for parameter, value in ALLOCATOR.items():
            mallopt(parameter, value)


def prepare_service() -> None:
    """Set this process up for a service: its memory, its threads, and its end."""
    _set_allocator()
    gc.freeze()  # objects of the start-up are never collected
    gc.set_threshold(GC_ALLOCATIONS)
    sys.setswitchinterval(SWITCH_SECONDS)
    atexit.register(end_within, EXIT_SECONDS)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < FEW_DESCRIPTORS:
        logger.warning("only %d files may be open, of which each client takes two; raise `ulimit -n`", allowed)


@contextmanager
def service_loop() -> Iterator[Loop]:
    """Return the loop of a service; SIGTERM, SIGINT and SIGHUP end it in good order."""
    prepare_service()
    loop = Loop()
    try:
        loop.handle_signals()
        yield loop
    finally:
        loop.close()


@contextmanager
def user_errors() -> Iterator[None]:
    """End the process with one sentence and the right exit status for every error that a user can cause.

    Its requests are a command's: they do not wait for a service where nobody listens.
    """
    try:
        with impatience():
            yield
    except (InvalidInputError, AddressError, TopicError, BindError) as error:
        fail(f"{error}{_port_setting(error)}", EXIT_USAGE)
    except UnicodeEncodeError as error:  # never from stdout or stderr, which take every text
        fail(not_encodable(error), EXIT_USAGE)
    except DiskError as error:
        fail(str(error), EXIT_UNEXPECTED)
    except LogError as error:
        fail(str(error), EXIT_REFUSED)
    except StorageError as error:  # at the start; later it is waited for
        fail(f"{error}; make room and start again", EXIT_REFUSED)
    except ControlError as error:
        from bus.console.services import told  # noqa: PLC0415 - it imports the names of all methods

        fail(told(error), exit_code_of(error))
    except KeyboardInterrupt:
        sys.exit(EXIT_SIGNAL + signal.SIGINT)
    except OSError as error:
        _end_after_fault(error)


def _end_after_fault(error: OSError) -> NoReturn:
    """End the process after a fault of a file; one that has no name and cannot be written to is stdout."""
    name = str(error.filename or "file")
    if error.filename is None and error.errno in WRITE_FAULTS:
        name = "stdout"
        discard_stdout()
    if isinstance(error, BrokenPipeError):
        sys.exit(EXIT_SIGNAL + signal.SIGPIPE)
    fail(f"{escaped(name)}: {error.strerror}", EXIT_REFUSED)


def not_encodable(error: UnicodeEncodeError) -> str:
    """Return as a sentence that an argument is not UTF-8, or that a file's name has no place in this locale."""
    told = f"{error.object[:ARGUMENT_SHOWN]!a}"
    if error.encoding == "utf-8":
        return f"{told}: is not UTF-8"
    return f"{told}: cannot be a file's name in {error.encoding}; set a UTF-8 locale, such as LC_ALL=C.UTF-8"


def _port_setting(error: Exception) -> str:
    """Return which option of the present command sets the port that could not be bound, and which variable."""
    port = error.port if isinstance(error, BindError) else None
    context = click.get_current_context(silent=True)
    for one in context.command.params if context and port else ():
        if context and one.name and one.name.endswith("port") and context.params.get(one.name) == port:
            return f" with {one.opts[0]} or {one.envvar}"
    return ""


def exit_code_of(error: ControlError) -> int:
    """Return the exit status that an error reply stands for."""
    match error.code:
        case "invalid_request":
            return EXIT_USAGE
        case "unavailable":
            return EXIT_NO_CONNECTION
        case "internal":
            return EXIT_UNEXPECTED
        case _:
            return EXIT_REFUSED


def refuse_wrong_feed(address: str, prefix: str, notice: Notice) -> None:
    """Take a notice for a command: it ends if the feed is another publisher's; all else is logged.

    Raises:
        ControlError: nothing will come from this publisher.
    """
    if isinstance(notice, WrongFeed):
        raise ControlError("unavailable", f"{address}: {notice}")
    logger.warning("%s %s: %s", address, prefix or "(everything)", notice)


def confirm(question: str) -> None:
    """Ask a person on the terminal, and end the command unless the answer is yes; a command's `--yes` skips this."""
    if not sys.stdin or not sys.stdin.isatty():
        fail("nobody can confirm this, as stdin is not a terminal; add --yes", EXIT_USAGE)
    click.confirm(question, abort=True, err=True)


def fail(message: str, code: int) -> NoReturn:
    """Write an error to stderr, and exit."""
    lines = [escaped(line) for line in message.split("\n")]  # a service's words must not act on the terminal
    click.echo("\n".join(["Error: " + lines[0], *lines[1:]]), err=True)
    sys.exit(code)
