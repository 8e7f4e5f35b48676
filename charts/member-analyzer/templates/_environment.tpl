{{/* Address of the landing database. */}}
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

{{/* Connection to the landing database; called with (list . "program"), whose role is landing_<program>. */}}
{{- define "environment.landing" -}}
{{ include "environment.landingServer" (index . 0) }}
- name: LANDING_USERNAME
  value: landing_{{ index . 1 }}
{{ include "environment.secret" (list (index . 0) "LANDING_PASSWORD" (printf "landing-%s" (index . 1)) "password") }}
{{- end }}

{{/* Connection to Kafka; called with (list . "suffix of its KafkaUser"). The pod mounts the volume `kafka-ca`. */}}
{{- define "environment.kafka" -}}
{{- $top := index . 0 -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ include "kafka.bootstrap" $top }}
- name: KAFKA_SECURITY_PROTOCOL
  value: SASL_SSL
- name: KAFKA_CA_FILE
  value: /etc/member-analyzer/kafka-ca/ca.crt
- name: KAFKA_USERNAME
  value: {{ include "name.secret" . }}
{{ include "environment.secret" (list $top "KAFKA_PASSWORD" (index . 1) "password") }}
{{- end }}

{{- define "environment.registry" -}}
- name: SCHEMA_REGISTRY_URL
  value: {{ include "registry.url" . }}
{{- end }}

{{/* Connection to Cassandra; called with (list . "suffix of its Secret"). */}}
{{- define "environment.cassandra" -}}
{{- $top := index . 0 -}}
- name: CASSANDRA_HOSTS
  value: {{ include "cassandra.host" $top }}
- name: CASSANDRA_PORT
  value: "9042"
- name: CASSANDRA_DATACENTER
  value: dc1
- name: CASSANDRA_KEYSPACE
  value: {{ $top.Values.cassandra.keyspace }}
- name: CASSANDRA_REPLICATION_FACTOR
  value: {{ $top.Values.cassandra.replicationFactor | quote }}
{{ include "environment.secret" (list $top "CASSANDRA_USERNAME" (index . 1) "username") }}
{{ include "environment.secret" (list $top "CASSANDRA_PASSWORD" (index . 1) "password") }}
{{- end }}

{{/* Connection to Airflow; called with (list . "suffix of its Secret"). */}}
{{- define "environment.airflow" -}}
{{- $top := index . 0 -}}
- name: AIRFLOW_API_URL
  value: http://{{ include "name.airflow" $top }}-api-server:8080
{{ include "environment.secret" (list $top "AIRFLOW_API_USERNAME" (index . 1) "username") }}
{{ include "environment.secret" (list $top "AIRFLOW_API_PASSWORD" (index . 1) "password") }}
{{- end }}

{{/* A variable from a Secret of this chart; called with (list . "VARIABLE" "suffix" "key"). */}}
{{- define "environment.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ include "name.secret" (list (index . 0) (index . 2)) }}
      key: {{ index . 3 }}
{{- end }}

{{/* The certificate of Kafka's CA. */}}
{{- define "volume.kafkaCa" -}}
- name: kafka-ca
  secret:
    secretName: {{ .Release.Name }}-cluster-ca-cert
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}

{{- define "mount.kafkaCa" -}}
- name: kafka-ca
  mountPath: /etc/member-analyzer/kafka-ca
  readOnly: true
{{- end }}
