"""Bar charts of the analysis tables."""
