{{- define "console.environment" -}}
{{- $ingress := .Values.console.ingress -}}
{{- $hasCertificate := and $ingress.enabled (ne $ingress.tlsSecret "") -}}
{{- $cookies := .Values.console.secureCookies -}}
{{ include "environment.landing" (list . "console") }}
{{ include "environment.kafka" (list . "kafka-console") }}
{{ include "environment.registry" . }}
{{ include "environment.cassandra" (list . "cassandra-console") }}
{{ include "environment.airflow" (list . "airflow-console") }}
- name: GRAPHS_DIRECTORY
  value: /var/lib/member-analyzer/graphs
{{ include "environment.secret" (list . "CONSOLE_VIEWER_PASSWORD" "console-logins" "viewer-password") }}
{{ include "environment.secret" (list . "CONSOLE_OPERATOR_PASSWORD" "console-logins" "operator-password") }}
{{ include "environment.secret" (list . "CONSOLE_SESSION_SECRET" "console-logins" "session-secret") }}
- name: CONSOLE_SESSION_HOURS
  value: {{ .Values.console.sessionHours | quote }}
- name: CONSOLE_SECURE_COOKIES
  value: {{ ternary $hasCertificate (eq $cookies "always") (eq $cookies "auto") | quote }}
# Strimzi restricts access to ZooKeeper, so the console reads the state of its pods.
- name: CONSOLE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: CONSOLE_SPARK_URL
  value: http://{{ include "name" (list . "stream") }}-ui-svc:4040
- name: CONSOLE_COLLECTOR_URL
  value: {{ ternary (printf "http://%s:8001" (include "name" (list . "collector"))) "" .Values.collector.enabled | quote }}
{{- if include "userApi.isBundled" . }}
- name: CONSOLE_USER_API_HEALTH_URL
  value: http://{{ include "name" (list . "user-api") }}:8000/healthz
{{- end }}
{{ include "web.forwarded" $ingress }}
{{- end }}

{{- define "console.volumes" -}}
{{ include "volume.kafkaCa" . }}
- name: graphs
  persistentVolumeClaim:
    claimName: {{ include "name" (list . "graphs") }}
{{- end }}

{{- define "console.mounts" -}}
{{ include "mount.kafkaCa" . }}
- name: graphs
  mountPath: /var/lib/member-analyzer/graphs
  readOnly: true
{{- end }}
