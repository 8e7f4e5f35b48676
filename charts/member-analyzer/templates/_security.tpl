{{/* Security context of a pod under the Pod Security Standard "restricted"; called with the user id. */}}
{{- define "security.pod" -}}
{{ include "security.podOfGroup" (list . .) }}
{{- end }}

{{/* The same with a group that owns the volumes; called with (list user group). */}}
{{- define "security.podOfGroup" -}}
runAsNonRoot: true
runAsUser: {{ index . 0 }}
runAsGroup: {{ index . 0 }}
fsGroup: {{ index . 1 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Security context of a container under the same standard, with a read-only root file system. */}}
{{- define "security.container" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
