"""Ctrl-C and closed terminals for the tests and their processes, wherever the suite itself was started."""

import signal


def restore_interrupts() -> None:
    """Make SIGINT raise KeyboardInterrupt, and SIGHUP end a process, where the parent process had them ignored.

    A shell ignores SIGINT in what it starts in the background (`nohup make test &`, some CI systems), and every child
    inherits that: Python then installs no handler, and a test that sends an interrupt would wait in vain. `nohup` does
    the same with SIGHUP.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
