"""Whether a run is the one that is asked for: what it is made of, described and compared."""
