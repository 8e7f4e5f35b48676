{{/* What the collector knows. */}}
{{- define "collector.environment" -}}
{{ include "environment.landing" . }}
{{ include "environment.kafka" "kafka-publisher" }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-reader") }}
- name: REJECTED_RETENTION_DAYS
  value: {{ .Values.rejected.retentionDays | quote }}
- name: COLLECTOR_REQUESTS_PER_SECOND
  value: {{ .Values.collector.requestsPerSecond | int64 | quote }}
- name: COLLECTOR_CONNECTIONS
  value: {{ .Values.collector.connections | quote }}
{{ include "web.forwarded" .Values.collector.ingress }}
{{- end }}
