"""Ports with one planted mistake each: what they are, how they are handed out, how an answer is checked."""
