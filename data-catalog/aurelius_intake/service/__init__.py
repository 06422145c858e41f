"""The intake's service: its processes, its listeners and its pages."""
