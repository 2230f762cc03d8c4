"""The colour that transparent images are laid over."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0-255."""
WHITE: Colour = (255, 255, 255)
