"""The numbers a report stands for, and the comparison of two runs."""
