{{/* Resources of the operator's helper containers. */}}
{{- define "cassandra.resources" -}}
requests: {cpu: 10m, memory: 64Mi}
limits: {memory: 256Mi}
{{- end }}
