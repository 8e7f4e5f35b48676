{{- define "stream.volumes" -}}
{{ include "volume.kafkaCa" . }}
{{- if not .Values.stream.checkpoint.url }}
- name: checkpoint
  persistentVolumeClaim:
    claimName: {{ include "name" (list . "stream-checkpoint") }}
{{- end }}
{{- end }}

{{- define "stream.mounts" -}}
{{ include "mount.kafkaCa" . }}
{{- if not .Values.stream.checkpoint.url }}
- name: checkpoint
  mountPath: /var/lib/member-analyzer/checkpoint
{{- end }}
{{- end }}

{{/* Schedules an executor on the node of its driver. */}}
{{- define "stream.affinity" -}}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          spark-role: driver
          {{- include "selector" (list . "stream") | nindent 10 }}
{{- end }}

{{- define "stream.environment" -}}
{{ include "environment.kafka" (list . "kafka-stream") }}
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

{{/* The largest allocation that a length in an Avro value may cause: far more than any valid string, and little memory. */}}
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
{{- $secret := .credentialsSecret }}
{{- range $variable, $key := dict "AWS_ACCESS_KEY_ID" "access-key" "AWS_SECRET_ACCESS_KEY" "secret-key" }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
