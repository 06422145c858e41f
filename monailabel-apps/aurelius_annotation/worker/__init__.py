"""The worker: a process that holds one MONAI Label app and only computes (annotation environment)."""
