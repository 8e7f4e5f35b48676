{{- define "tests.environment" -}}
{{ include "environment.landing" (list . "reader") }}
{{ include "environment.kafka" (list . "kafka-reader") }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-reader") }}
{{- end }}
