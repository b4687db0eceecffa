"""The report: one self-contained HTML page made from the evaluation's files."""
