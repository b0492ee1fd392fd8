"""Ctrl-C for the tests and the processes they start, wherever the suite itself was started."""

import signal


def restore_interrupts() -> None:
    """Make SIGINT raise KeyboardInterrupt again where the parent process had it ignored.

    A shell ignores SIGINT in what it starts in the background (`nohup make test &`, some CI systems), and every child
    inherits that: Python then installs no handler, and a test that sends an interrupt would wait in vain.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
