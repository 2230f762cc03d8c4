"""Search: keras-tuner over recipes, in this process, in several on this machine, or on a Ray cluster.

A trial is a run: it has a directory, checkpoints and a record, and resumes where it stopped. `kzoo.search.search` and
`kzoo.search.space` describe a search (no Keras). `kzoo.search.running` owns one while it runs: it asks an oracle
(`kzoo.search.oracles`) for trials, hands each to a pool (`kzoo.pool`), and tells the oracle how it ended. Whichever
process trains a trial (`kzoo.search.trial`) writes its outcome to the trial's directory before the owner hears of it,
and the owner writes all that it knows in one file at each change. So after a kill at any moment, the files say which
trials are over, which are under way, and what comes next.
"""
