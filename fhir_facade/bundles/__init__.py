"""Batch and transaction without a store: what a Bundle asks for, in which order, and what its references become."""
