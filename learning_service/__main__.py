"""`python -m learning_service`: the learning service as a process."""

from bus.console.extras import needing

with needing("learning"):
    from bus.console.process import run_service
    from learning_service.main import main

if __name__ == "__main__":
    run_service(main)
