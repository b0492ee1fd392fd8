"""`python -m variantbus.dashboard`: the web page as a process."""

from bus.console.extras import needing

with needing("web"):
    from bus.console.process import run_service
    from variantbus.dashboard.main import main

if __name__ == "__main__":
    run_service(main)
