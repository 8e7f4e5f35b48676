{{- define "collector.environment" -}}
{{ include "environment.landing" (list . "collector") }}
{{ include "environment.kafka" (list . "kafka-collector") }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-collector") }}
- name: REJECTED_RETENTION_DAYS
  value: {{ .Values.rejected.retentionDays | quote }}
- name: COLLECTOR_REQUESTS_PER_SECOND
  value: {{ .Values.collector.requestsPerSecond | int64 | quote }}
- name: COLLECTOR_CONNECTIONS
  value: {{ .Values.collector.connections | quote }}
{{ include "web.forwarded" .Values.collector.ingress }}
{{- end }}
