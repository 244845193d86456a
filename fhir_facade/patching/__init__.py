"""Patches of a resource: JSON Patch, JSON Merge Patch and FHIRPath Patch.

Pure functions; what is given is not changed.
"""
