{{/* What the tests of the release know. */}}
{{- define "tests.environment" -}}
{{ include "environment.landing" (list . "reader") }}
{{ include "environment.kafka" "kafka-reader" }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-reader") }}
{{- end }}
