"""The index in SQL: its tables, its migrations, and the gate that admits only de-identified studies."""
