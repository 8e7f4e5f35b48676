"""The console: shows people the members as they arrive, and every station of their way."""
