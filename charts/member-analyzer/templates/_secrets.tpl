{{/*
A Secret whose values are made once: what the cluster holds stays, at upgrades and also after an uninstall, because volumes
stay as well and know the old passwords. Called with a dict of: top, name, component, data (key to a value that is taken
unless there is one already).
*/}}
{{- define "secret.kept" -}}
{{- $found := (lookup "v1" "Secret" .top.Release.Namespace .name | default dict).data | default dict }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .name }}
  labels:
    {{- include "labels" (list .top .component) | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
data:
  {{- range $key, $value := .data }}
  {{ $key }}: {{ get $found $key | default ($value | b64enc) | quote }}
  {{- end }}
{{- end }}

{{/* A password that needs no quotation marks anywhere. */}}
{{- define "secret.password" -}}
{{ randAlphaNum 32 }}
{{- end }}
