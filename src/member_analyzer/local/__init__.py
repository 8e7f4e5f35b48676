"""The whole platform as processes on one machine, without Docker or Kubernetes."""
