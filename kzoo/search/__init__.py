"""Searches over recipes with keras-tuner: in this process, in several on this machine, or on a Ray cluster.

A trial is a run with a directory, checkpoints and a record, and it resumes where it stopped. `kzoo.search.search` and
`kzoo.search.space` describe a search (no Keras). `kzoo.search.running` runs one: it asks an oracle
(`kzoo.search.oracles`) for trials, passes each to a pool (`kzoo.pool`), and reports the outcome to the oracle. The
process that trains a trial (`kzoo.search.trial`) writes the outcome to the trial's directory first, and the process
that runs the search writes its whole state to one file at each change. So after a kill at any moment, the files say
which trials have ended, which were running, and what comes next.
"""
