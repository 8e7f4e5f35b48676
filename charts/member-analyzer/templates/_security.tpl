{{/* What the Pod Security Standard "restricted" asks of a pod; called with the user's id. */}}
{{- define "security.pod" -}}
{{ include "security.podOfGroup" (list . .) }}
{{- end }}

{{/* The same, with the group that its volumes belong to; called with (list user group). */}}
{{- define "security.podOfGroup" -}}
runAsNonRoot: true
runAsUser: {{ index . 0 }}
runAsGroup: {{ index . 0 }}
fsGroup: {{ index . 1 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it asks of a container, and a root file system that nobody writes to. */}}
{{- define "security.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
