"""Search: keras-tuner over recipes, on one machine or many.

A trial is a run: it has a directory, checkpoints and a record, and goes on where it stopped. `kzoo.search.search` and
`kzoo.search.space` describe a search (no Keras); `kzoo.search.running` runs it; `kzoo.search.results` reads it.
"""
