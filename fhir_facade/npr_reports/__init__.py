"""Findings of the patient registry's rules as text, JSON, CSV, JUnit, and as a page on data quality."""
