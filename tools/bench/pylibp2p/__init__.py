"""A program in another environment, which imports nothing of this project."""
