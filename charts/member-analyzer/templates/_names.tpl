{{/* Labels of an object of ours; called with (list . "component"). */}}
{{- define "labels" -}}
{{- $top := index . 0 -}}
{{ include "selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: member-analyzer
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version }}
{{- end }}

{{/* The labels that never change, by which pods are found; called with (list . "component"). */}}
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

{{/* With which credentials a pod's images are pulled. */}}
{{- define "image.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Host of PostgreSQL: a server of the user's own, or this chart's. */}}
{{- define "postgres.host" -}}
{{ .Values.postgres.external.host | default "postgres" }}
{{- end }}

{{- define "postgres.port" -}}
{{ if .Values.postgres.external.host }}{{ .Values.postgres.external.port }}{{ else }}5432{{ end }}
{{- end }}

{{- define "postgres.sslmode" -}}
{{ if .Values.postgres.external.host }}{{ .Values.postgres.external.sslmode }}{{ else }}prefer{{ end }}
{{- end }}

{{/* Who has a role of its own in the landing database, landing_<program>: a list in JSON. */}}
{{- define "postgres.programs" -}}
{{ list "airflow" "collector" "console" "operator" "reader" | toJson }}
{{- end }}

{{/* Whether the provisioning makes these roles; empty where somebody has made them before. */}}
{{- define "postgres.makesRoles" -}}
{{ if or (not .Values.postgres.external.host) .Values.postgres.external.createRoles }}yes{{ end }}
{{- end }}

{{- define "userApi.url" -}}
{{ .Values.userApi.url | default "http://user-api:8000/api/" }}
{{- end }}

{{/* Whether the user API is the one of this chart; empty where it is not. */}}
{{- define "userApi.isBundled" -}}
{{ if not (or .Values.userApi.url .Values.userApi.existingSecret) }}yes{{ end }}
{{- end }}

{{- define "registry.url" -}}
http://registry:8080/apis/ccompat/v7
{{- end }}

{{- define "kafka.bootstrap" -}}
members-kafka-bootstrap:9093
{{- end }}

{{- define "cassandra.host" -}}
members-dc1-service
{{- end }}

{{/* Replicas of each topic's partitions. */}}
{{- define "kafka.replicas" -}}
{{ min 3 .Values.kafka.brokers }}
{{- end }}

{{/* How many of them have to have a record before it counts as written. */}}
{{- define "kafka.insync" -}}
{{ max 1 (sub (include "kafka.replicas" . | int) 1) }}
{{- end }}

{{/* Where the stream keeps its checkpoint, as Spark reads it. */}}
{{- define "stream.checkpoint" -}}
{{ .Values.stream.checkpoint.url | default "file:///var/lib/member-analyzer/checkpoint" }}
{{- end }}
