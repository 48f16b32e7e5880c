"""From files to arrays: layout, catalogue, headers, decoding, cache, quality, folds."""
