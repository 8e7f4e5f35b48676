"""Web console: live view of the members and of the components that process them."""
