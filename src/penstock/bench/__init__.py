"""Measurements of Penstock on this machine; `penstock bench NAME` runs them, `benchmarks/` puts rivals beside them."""
