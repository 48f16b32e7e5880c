"""Scores of millions of cutouts: formats in, shards, formats out."""
