"""What is inside a Keras model, kzoo's or any other."""
