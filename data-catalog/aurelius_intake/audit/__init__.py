"""The audit log: its verification, its signatures, its export."""
