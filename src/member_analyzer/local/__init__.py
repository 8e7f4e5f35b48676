"""The whole platform as real processes on one machine, without Docker or Kubernetes."""
