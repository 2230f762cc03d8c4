"""What training records of a network as it goes: gradient flow and histograms of weights."""
