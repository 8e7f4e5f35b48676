{{/* What the tests of the release know. */}}
{{- define "tests.environment" -}}
{{ include "environment.landing" . }}
{{ include "environment.kafka" "kafka-reader" }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-reader") }}
{{- end }}

{{- define "tests.airflow" -}}
- name: AIRFLOW_API_URL
  value: http://airflow-api-server:8080
{{ include "environment.secret" (list "AIRFLOW_API_USERNAME" "airflow-login" "username") }}
{{ include "environment.secret" (list "AIRFLOW_API_PASSWORD" "airflow-login" "password") }}
{{- end }}
