"""Verified code generation: generate, execute, learn a critic, select."""

__version__ = "0.1.0"
