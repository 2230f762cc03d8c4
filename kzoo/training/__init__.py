"""From a recipe to a run: what is trained, what is kept, and how it resumes after a kill."""
