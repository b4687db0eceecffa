"""Programs made to learn from: mutants, and right programs under wrong prompts."""
