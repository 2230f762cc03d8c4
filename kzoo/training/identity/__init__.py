"""Whether a run is the requested one: describes what it is made of, and compares descriptions."""
