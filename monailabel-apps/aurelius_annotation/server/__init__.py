"""The annotation server: people, cases, labels and queues (main environment)."""
