"""Member Analyzer: takes the members of an application from an API and analyses them while they arrive."""
