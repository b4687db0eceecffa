"""Measuring selectors: how often does the candidate they pick pass the hidden tests?"""
