"""From scores to numbers: metrics, comparison, score tables, occlusion maps."""
