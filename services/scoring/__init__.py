"""Scores: computed from assessment facts, kept, published, summarised."""
