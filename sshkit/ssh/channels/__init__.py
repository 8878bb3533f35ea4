"""Kinds of channels, and what both sides of each have in common."""
