{{/* Pods of this chart; called with (list . "component"). */}}
{{- define "network.component" -}}
podSelector:
  matchLabels:
    {{- include "selector" . | nindent 4 }}
{{- end }}

{{/* Pods of Airflow; called with the component. */}}
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
    cassandra.datastax.com/cluster: {{ .Release.Name }}
{{- end }}

{{/* The beginning of a policy; called with a dict of: top, name (suffix), component. */}}
{{- define "network.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "name" (list .top .name) }}
  labels:
    {{- include "labels" (list .top .component) | nindent 4 }}
spec:
{{- end }}

{{/* Egress to DNS. */}}
{{- define "network.toDns" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
{{- end }}

{{/* Egress to PostgreSQL, bundled or external. */}}
{{- define "network.toPostgres" -}}
- ports:
    - port: {{ include "postgres.port" . | int }}
  {{- if not .Values.postgres.external.host }}
  to:
    - {{- include "network.component" (list . "postgres") | nindent 6 }}
  {{- end }}
{{- end }}

{{/* Egress to Kafka, the registry and Cassandra. */}}
{{- define "network.toServers" -}}
- ports:
    - port: 9093
  to:
    - podSelector:
        matchLabels:
          strimzi.io/cluster: {{ .Release.Name }}
          strimzi.io/name: {{ .Release.Name }}-kafka
- ports:
    - port: 8080
  to:
    - {{- include "network.component" (list . "registry") | nindent 6 }}
- ports:
    - port: 9042
  to:
    - {{- include "network.cassandra" . | nindent 6 }}
{{- end }}

{{/* Egress to the Kubernetes API, whose servers are not pods. */}}
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
