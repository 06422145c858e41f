"""De-identification certificates: what was done to a study, and the proof of it."""
