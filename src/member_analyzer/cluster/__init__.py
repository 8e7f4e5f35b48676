"""The platform on a Kubernetes cluster, seen from the shell of whoever looks after it."""
