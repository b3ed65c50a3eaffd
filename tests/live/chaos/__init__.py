"""The matrix: at every step of every change, everything that can go wrong beside it, on booted machines."""
