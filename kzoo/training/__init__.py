"""From a recipe to a run: what is trained, what is saved, and how a killed run resumes."""
