{{/*
A pod that runs a command of `member-analyzer` once; called with a dict of: top, component, command (a list), environment (text),
kafka (whether it reaches Kafka); where it is to be repeated until it succeeds, also seconds (for how long).
*/}}
{{- define "operations.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: operations
{{- with .seconds }}
restartPolicy: OnFailure
activeDeadlineSeconds: {{ . }}
{{- else }}
restartPolicy: Never
{{- end }}
securityContext:
  {{- include "security.pod" 10001 | nindent 2 }}
{{- include "image.pullSecrets" .top | nindent 0 }}
containers:
  - name: {{ .component }}
    image: {{ include "image" (list .top .top.Values.images.web) }}
    imagePullPolicy: {{ .top.Values.images.pullPolicy }}
    command:
      {{- toYaml .command | nindent 6 }}
    securityContext:
      {{- include "security.container" . | nindent 6 }}
    env:
      {{- .environment | nindent 6 }}
    resources:
      {{- toYaml .top.Values.provision.resources | nindent 6 }}
    volumeMounts:
      - name: temporary
        mountPath: /tmp
      {{- if .kafka }}
      {{- include "mount.kafkaCa" . | nindent 6 }}
      {{- end }}
volumes:
  - name: temporary
    emptyDir: {}
  {{- if .kafka }}
  {{- include "volume.kafkaCa" . | nindent 2 }}
  {{- end }}
{{- end }}
