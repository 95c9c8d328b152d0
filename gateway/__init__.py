"""One request, from bytes to bytes. Start at ``pipeline.py``."""
