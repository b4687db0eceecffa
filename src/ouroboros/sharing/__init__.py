"""Sharing a run through an S3 remote of DVC: a server to try it with, the doctor's look at it."""
