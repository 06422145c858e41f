"""What every HTTP service of the house shares: the host, the login, multipart bodies, the limit on free disk."""
