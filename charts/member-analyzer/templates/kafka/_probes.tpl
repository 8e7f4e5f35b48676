{{/*
Strimzi's own probes end a server that does not answer for half a minute; where a small machine starts everything at once, that
is one which is only slow, and begins again and again.
*/}}
{{- define "kafka.probes" -}}
livenessProbe:
  timeoutSeconds: 10
  failureThreshold: 18
readinessProbe:
  timeoutSeconds: 10
{{- end }}
