"""The parts that every HTTP service of the house shares: host, login, multipart bodies, free disk."""
