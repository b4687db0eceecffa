"""Splitting labelled problems into train, dev and test, and finding near-duplicates across them."""
