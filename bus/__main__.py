"""`python -m bus`: `tail`, the logger as a process, and `top`, rates by topic."""

from bus.console.extras import needing

with needing("cli"):
    from bus.console.main import main
    from bus.console.process import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
