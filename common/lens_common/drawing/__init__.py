"""Drawings of scores, training and stamps: axes in, axes out, nothing written."""
