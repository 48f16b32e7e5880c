"""Reports: run directories in, one self-contained page out, with its Markdown and JSON."""
