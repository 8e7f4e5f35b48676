{{/*
Strimzi's default probes kill a server that does not answer for half a minute. On a small machine that starts everything at once,
a server that is only slow would restart again and again.
*/}}
{{- define "kafka.probes" -}}
livenessProbe:
  timeoutSeconds: 10
  failureThreshold: 18
readinessProbe:
  timeoutSeconds: 10
{{- end }}
