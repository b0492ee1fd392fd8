"""The report of an experiment: one HTML file with everything in it."""
