"""Rights: who a person is, what their roles allow, and which studies belong to which project."""
