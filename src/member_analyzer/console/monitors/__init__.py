"""Monitors of the components, one module per component."""
