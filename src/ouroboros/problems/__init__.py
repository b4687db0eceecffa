"""Where problems come from, in which forms they are published, and what must hold of them."""
