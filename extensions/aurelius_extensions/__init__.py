"""What people see inside Jupyter and beside it: dashboards for clinicians, reports for reviewers."""
