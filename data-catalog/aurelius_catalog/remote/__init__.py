"""The store over HTTP, and the files that the service of this machine shares with its kernels."""
