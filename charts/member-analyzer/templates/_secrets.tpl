{{/*
A Secret whose values are generated at the first installation. Values in the cluster win, on upgrades and on a new installation
after an uninstall, because volumes are kept as well and hold the old passwords. Called with a dict of: top, name (suffix),
component, data (key to generated value).
*/}}
{{- define "secret.kept" -}}
{{- $name := include "name.secret" (list .top .name) }}
{{- $found := (lookup "v1" "Secret" .top.Release.Namespace $name | default dict).data | default dict }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}
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

{{/* A password that needs no quoting anywhere. */}}
{{- define "secret.password" -}}
{{ randAlphaNum 32 }}
{{- end }}
