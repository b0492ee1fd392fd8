"""What a profile makes of the stacks that were seen."""

from benchmarks.profile import summary


def test_a_profile_counts_lines_and_whole_functions() -> None:
    """A name that was read while it changed may break its line in two, and costs itself alone."""
    raw = "main (a.py:1);work (a.py:5) 3\nmain (a.py:2) 1\nmain (a.py:1);wo\nrk (a.py:5) \n\n"

    assert summary(raw).splitlines() == [
        "  own time of lines",
        "   75.0 %  work (a.py:5)",
        "   25.0 %  main (a.py:2)",
        "  whole time of functions",
        "  100.0 %  main (a.py)",
        "   75.0 %  work (a.py)",
    ]
