{{/* The parts of the stream's own pods. */}}
{{- define "stream.volumes" -}}
{{ include "volume.kafkaCa" . }}
{{- if not .Values.stream.checkpoint.url }}
- name: checkpoint
  persistentVolumeClaim:
    claimName: stream-checkpoint
{{- end }}
{{- end }}

{{- define "stream.mounts" -}}
{{ include "mount.kafkaCa" . }}
{{- if not .Values.stream.checkpoint.url }}
- name: checkpoint
  mountPath: /var/lib/member-analyzer/checkpoint
{{- end }}
{{- end }}

{{- define "stream.together" -}}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          spark-role: driver
          {{- include "selector" (list . "stream") | nindent 10 }}
{{- end }}

{{- define "stream.environment" -}}
{{ include "environment.kafka" "kafka-stream" }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-stream") }}
- name: STREAM_CHECKPOINT
  value: {{ include "stream.checkpoint" . }}
- name: STREAM_MAX_OFFSETS_PER_TRIGGER
  value: {{ .Values.stream.maxOffsetsPerTrigger | int64 | quote }}
- name: STREAM_TRIGGER_MILLISECONDS
  value: {{ .Values.stream.triggerMilliseconds | int64 | quote }}
- name: STREAM_TASKS
  value: {{ .Values.stream.tasks | quote }}
{{- end }}

{{/* What Avro allocates at most because a value says so: far more than a string of a valid record, and little memory. */}}
{{- define "stream.avroLimits" -}}
{{- $limits := list }}
{{- range list "string.maxLength" "bytes.maxLength" "collectionItems.maxLength" }}
{{- $limits = append $limits (printf "-Dorg.apache.avro.limits.%s=4194304" .) }}
{{- end }}
{{- join " " $limits }}
{{- end }}

{{- define "stream.bucket" -}}
{{- with .Values.stream.checkpoint }}
{{- if and .url .credentialsSecret }}
{{ include "environment.secret" (list "AWS_ACCESS_KEY_ID" .credentialsSecret "access-key") }}
{{ include "environment.secret" (list "AWS_SECRET_ACCESS_KEY" .credentialsSecret "secret-key") }}
{{- end }}
{{- end }}
{{- end }}
