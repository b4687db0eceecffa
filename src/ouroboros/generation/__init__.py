"""Generation: prompts in, candidate programs out (see `run.generate`)."""
