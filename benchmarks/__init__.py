"""What is measured, always beside something to compare with: see docs/benchmarks.md."""
