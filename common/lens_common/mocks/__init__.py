"""The simulator: prior, rendering, what is drawn, and the writer of data sets."""
