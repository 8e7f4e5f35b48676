{{/* Where PostgreSQL's landing database is. */}}
{{- define "environment.landingServer" -}}
- name: LANDING_HOST
  value: {{ include "postgres.host" . }}
- name: LANDING_PORT
  value: {{ include "postgres.port" . | quote }}
- name: LANDING_DATABASE
  value: member_analyzer
- name: LANDING_SSLMODE
  value: {{ include "postgres.sslmode" . }}
- name: LANDING_UNREACHABLE_TIMEOUT
  value: {{ .Values.postgres.unreachableSeconds | quote }}
{{- end }}

{{/* How a program reaches PostgreSQL's landing database; called with (list . "program"), whose role is landing_<program>. */}}
{{- define "environment.landing" -}}
{{ include "environment.landingServer" (index . 0) }}
- name: LANDING_USERNAME
  value: landing_{{ index . 1 }}
{{ include "environment.secret" (list "LANDING_PASSWORD" (printf "landing-%s" (index . 1)) "password") }}
{{- end }}

{{/* How a program reaches Kafka; called with the name of its KafkaUser. Its pod mounts the volume `kafka-ca`. */}}
{{- define "environment.kafka" -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ include "kafka.bootstrap" . }}
- name: KAFKA_SECURITY_PROTOCOL
  value: SASL_SSL
- name: KAFKA_CA_FILE
  value: /etc/member-analyzer/kafka-ca/ca.crt
- name: KAFKA_USERNAME
  value: {{ . }}
{{ include "environment.secret" (list "KAFKA_PASSWORD" . "password") }}
{{- end }}

{{- define "environment.registry" -}}
- name: SCHEMA_REGISTRY_URL
  value: {{ include "registry.url" . }}
{{- end }}

{{/* How a program reaches Cassandra; called with (list . "secret of its role"). */}}
{{- define "environment.cassandra" -}}
{{- $top := index . 0 -}}
- name: CASSANDRA_HOSTS
  value: {{ include "cassandra.host" . }}
- name: CASSANDRA_PORT
  value: "9042"
- name: CASSANDRA_DATACENTER
  value: dc1
- name: CASSANDRA_KEYSPACE
  value: {{ $top.Values.cassandra.keyspace }}
- name: CASSANDRA_REPLICATION_FACTOR
  value: {{ $top.Values.cassandra.replicationFactor | quote }}
{{ include "environment.secret" (list "CASSANDRA_USERNAME" (index . 1) "username") }}
{{ include "environment.secret" (list "CASSANDRA_PASSWORD" (index . 1) "password") }}
{{- end }}

{{/* How a program reaches Airflow; called with the Secret of its login. */}}
{{- define "environment.airflow" -}}
- name: AIRFLOW_API_URL
  value: http://airflow-api-server:8080
{{ include "environment.secret" (list "AIRFLOW_API_USERNAME" . "username") }}
{{ include "environment.secret" (list "AIRFLOW_API_PASSWORD" . "password") }}
{{- end }}

{{/* One variable from a Secret; called with (list "VARIABLE" "secret" "key"). */}}
{{- define "environment.secret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end }}

{{/* Kafka's authority, for everyone who reaches Kafka. */}}
{{- define "volume.kafkaCa" -}}
- name: kafka-ca
  secret:
    secretName: members-cluster-ca-cert
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}

{{- define "mount.kafkaCa" -}}
- name: kafka-ca
  mountPath: /etc/member-analyzer/kafka-ca
  readOnly: true
{{- end }}
