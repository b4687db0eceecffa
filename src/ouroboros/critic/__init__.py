"""The soft verifier: a critic that predicts P(pass | prompt, code) without running anything."""
