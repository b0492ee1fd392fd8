"""`python -m variantbus.notify`: the notifier as a process."""

from bus.console.extras import needing

with needing("notify"):
    from bus.console.process import run_service
    from variantbus.notify.main import main

if __name__ == "__main__":
    run_service(main)
