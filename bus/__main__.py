"""`python -m bus`: `tail`, the logger as a process, and `top`, rates by topic."""

from bus.console.main import main

if __name__ == "__main__":
    main()
