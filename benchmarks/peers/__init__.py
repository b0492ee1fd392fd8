"""The others, one file each: how it is set up, and what its three processes do."""
