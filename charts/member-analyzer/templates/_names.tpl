{{/* Name of an object: the release's name and a suffix; called with (list . "suffix"). */}}
{{- define "name" -}}
{{ (index . 0).Release.Name }}-{{ index . 1 }}
{{- end }}

{{/*
Name of a Secret of logins or keys; called with (list . "suffix"). Values of a subchart cannot hold the release's name unless the
subchart renders them as templates. Airflow's chart does not for the Secrets listed here, so their names are fixed.
*/}}
{{- define "name.secret" -}}
{{- $fixed := list "airflow-api-secret-key" "airflow-console" "airflow-fernet-key" "airflow-jwt-secret" "airflow-login" "airflow-metadata" "cassandra-reader" "kafka-airflow" "landing-airflow" "user-api" -}}
{{ ternary (index . 1) (include "name" .) (has (index . 1) $fixed) }}
{{- end }}

{{/* Prefix of the names in Airflow's chart: the same rule as its template airflow.fullname. */}}
{{- define "name.airflow" -}}
{{- $fullname := ternary .Release.Name (printf "%s-airflow" .Release.Name) (contains "airflow" .Release.Name) -}}
{{ .Values.airflow.fullnameOverride | default $fullname }}
{{- end }}

{{/* Labels of an object; called with (list . "component"). */}}
{{- define "labels" -}}
{{- $top := index . 0 -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: member-analyzer
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version }}
{{- end }}

{{/* The immutable labels that select pods; called with (list . "component"). */}}
{{- define "selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: member-analyzer
app.kubernetes.io/instance: {{ $top.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* An image of this project; called with (list . .Values.images.web). */}}
{{- define "image" -}}
{{- $top := index . 0 }}{{ $image := index . 1 -}}
{{ $image.repository }}:{{ $image.tag | default $top.Chart.AppVersion }}
{{- end }}

{{- define "image.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Host of PostgreSQL: the external server, or the one of this chart. */}}
{{- define "postgres.host" -}}
{{ .Values.postgres.external.host | default (include "name" (list . "postgres")) }}
{{- end }}

{{- define "postgres.port" -}}
{{ if .Values.postgres.external.host }}{{ .Values.postgres.external.port }}{{ else }}5432{{ end }}
{{- end }}

{{- define "postgres.sslmode" -}}
{{ if .Values.postgres.external.host }}{{ .Values.postgres.external.sslmode }}{{ else }}prefer{{ end }}
{{- end }}

{{/* The programs with their own role in the landing database, landing_<program>: a list in JSON. */}}
{{- define "postgres.programs" -}}
{{ list "airflow" "collector" "console" "operator" "reader" | toJson }}
{{- end }}

{{/* Whether provisioning creates these roles; empty if not. */}}
{{- define "postgres.createsRoles" -}}
{{ if or (not .Values.postgres.external.host) .Values.postgres.external.createRoles }}yes{{ end }}
{{- end }}

{{- define "userApi.url" -}}
{{ .Values.userApi.url | default (printf "http://%s:8000/api/" (include "name" (list . "user-api"))) }}
{{- end }}

{{/* Whether the bundled user API is installed; empty if not. */}}
{{- define "userApi.isBundled" -}}
{{ if not (or .Values.userApi.url .Values.userApi.existingSecret) }}yes{{ end }}
{{- end }}

{{- define "registry.url" -}}
http://{{ include "name" (list . "registry") }}:8080/apis/ccompat/v7
{{- end }}

{{/* Strimzi's Service of the brokers. */}}
{{- define "kafka.bootstrap" -}}
{{ .Release.Name }}-kafka-bootstrap:9093
{{- end }}

{{/* cass-operator's Service of the datacenter. */}}
{{- define "cassandra.host" -}}
{{ .Release.Name }}-dc1-service
{{- end }}

{{- define "kafka.replicas" -}}
{{ min 3 .Values.kafka.brokers }}
{{- end }}

{{- define "kafka.minInsyncReplicas" -}}
{{ max 1 (sub (include "kafka.replicas" . | int) 1) }}
{{- end }}

{{/* URL of the stream's checkpoint. */}}
{{- define "stream.checkpoint" -}}
{{ .Values.stream.checkpoint.url | default "file:///var/lib/member-analyzer/checkpoint" }}
{{- end }}
