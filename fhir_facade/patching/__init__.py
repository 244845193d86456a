"""Patches of resources: what they make of one, without HTTP and without a store. Nothing that is given is changed."""
