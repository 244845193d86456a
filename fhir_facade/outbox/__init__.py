"""Telling the record system of changes, each once and in the order of its patient (docs/outbox.md)."""
