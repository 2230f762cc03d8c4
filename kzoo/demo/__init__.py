"""A local web page: draw or drop a picture, and see a network's prediction."""
