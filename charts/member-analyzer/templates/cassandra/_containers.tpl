{{/* Memory and CPU of the operator's small containers. */}}
{{- define "cassandra.resources" -}}
requests: {cpu: 10m, memory: 64Mi}
limits: {memory: 256Mi}
{{- end }}
