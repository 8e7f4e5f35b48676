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

{{- define "network.cassandra" -}}
podSelector:
  matchLabels:
    app.kubernetes.io/managed-by: cass-operator
    cassandra.datastax.com/cluster: members
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

{{/* What a pod may ask: names, which everybody needs, */}}
{{- define "network.toNames" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
{{- end }}

{{/* PostgreSQL, wherever it is, */}}
{{- define "network.toPostgres" -}}
- ports:
    - port: {{ include "postgres.port" . | int }}
  {{- if not .Values.postgres.external.host }}
  to:
    - {{- include "network.ours" (list . "postgres") | nindent 6 }}
  {{- end }}
{{- end }}

{{/* Kafka, the registry and Cassandra, */}}
{{- define "network.toServers" -}}
- ports:
    - port: 9093
  to:
    - podSelector:
        matchLabels:
          strimzi.io/cluster: members
          strimzi.io/name: members-kafka
- ports:
    - port: 8080
  to:
    - {{- include "network.ours" (list . "registry") | nindent 6 }}
- ports:
    - port: 9042
  to:
    - {{- include "network.cassandra" . | nindent 6 }}
{{- end }}

{{/* and Kubernetes itself, whose servers are no pods. */}}
{{- define "network.toKubernetes" -}}
{{- with .Values.networkPolicies.apiServer -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
    {{- end }}
  {{- with .addresses }}
  to:
    {{- range . }}
    - ipBlock:
        cidr: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
