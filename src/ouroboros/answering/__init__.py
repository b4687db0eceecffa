"""One task at a time: programs drawn or given for it, filtered by tests, ranked by the critic."""
