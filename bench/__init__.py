"""How fast the house is, measured beside its peers in the same run. `make bench` runs all, `make bench NAME=…` one."""
