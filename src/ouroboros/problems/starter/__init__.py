"""The starter set: original basic Python problems in MBPP's form (see README.md)."""
