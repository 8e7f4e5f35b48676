"""Administration of a platform on Kubernetes from a shell."""
