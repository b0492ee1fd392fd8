"""`python -m pipeline_runner`: the runner as a process."""

from bus.console.extras import needing

with needing("runner"):
    from bus.console.process import run_service
    from pipeline_runner.main import main

if __name__ == "__main__":
    run_service(main)
