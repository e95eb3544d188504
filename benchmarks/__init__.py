"""Measurements of Penstock against rivals; see README.md beside this file."""
