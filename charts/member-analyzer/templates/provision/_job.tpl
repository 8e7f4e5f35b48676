{{/* What the provisioning knows: every server, as its administrator. */}}
{{- define "provision.environment" -}}
{{ include "environment.landing" . }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-superuser") }}
{{ include "environment.secret" (list "CASSANDRA_ROLES_STREAM" "cassandra-stream" "password") }}
{{ include "environment.secret" (list "CASSANDRA_ROLES_READER" "cassandra-reader" "password") }}
{{- end }}
