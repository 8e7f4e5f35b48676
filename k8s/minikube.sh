#!/usr/bin/env bash
# Starts a minikube cluster large enough for the platform.
set -euo pipefail
exec minikube start --profile "${1:-member-analyzer}" --kubernetes-version v1.34.0 --cpus 4 --memory 14g --disk-size 40g
