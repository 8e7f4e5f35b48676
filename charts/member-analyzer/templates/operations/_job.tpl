{{/* Connections of the provisioning to every server, with administrator rights. */}}
{{- define "provision.environment" -}}
{{ include "environment.landingServer" . }}
{{ include "environment.secret" (list . "LANDING_USERNAME" "landing" "username") }}
{{ include "environment.secret" (list . "LANDING_PASSWORD" "landing" "password") }}
{{- if include "postgres.createsRoles" . }}
{{- if not .Values.postgres.external.host }}
- name: LANDING_ROLES_ADMINISTRATOR
  value: postgres
{{ include "environment.secret" (list . "LANDING_ROLES_ADMINISTRATOR_PASSWORD" "postgres-admin" "password") }}
{{- end }}
{{- range include "postgres.programs" . | fromJsonArray }}
{{ include "environment.secret" (list $ (printf "LANDING_ROLES_%s" (upper .)) (printf "landing-%s" .) "password") }}
{{- end }}
{{- end }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-superuser") }}
{{- range $name, $days := .Values.interactions }}
- name: INTERACTIONS_{{ $name | snakecase | upper }}
  value: {{ $days | int64 | quote }}
{{- end }}
{{ include "environment.secret" (list . "CASSANDRA_ROLES_STREAM" "cassandra-stream" "password") }}
{{ include "environment.secret" (list . "CASSANDRA_ROLES_COLLECTOR" "cassandra-collector" "password") }}
{{ include "environment.secret" (list . "CASSANDRA_ROLES_CONSOLE" "cassandra-console" "password") }}
{{ include "environment.secret" (list . "CASSANDRA_ROLES_READER" "cassandra-reader" "password") }}
{{- end }}
