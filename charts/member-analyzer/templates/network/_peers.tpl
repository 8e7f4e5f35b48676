{{/* Pods of ours, by component; called with (list . "component"). */}}
{{- define "network.ours" -}}
podSelector:
  matchLabels:
    {{- include "selector" . | nindent 4 }}
{{- end }}

{{/* Pods of Airflow, by component. */}}
{{- define "network.airflow" -}}
podSelector:
  matchLabels:
    tier: airflow
    component: {{ . }}
{{- end }}

{{/* The head of a policy; called with a dict of: top, name, component. */}}
{{- define "network.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .name }}
  labels:
    {{- include "labels" (list .top .component) | nindent 4 }}
spec:
{{- end }}
