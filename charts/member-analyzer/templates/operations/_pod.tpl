{{/*
A pod that runs a `member-analyzer` command once. Called with a dict of: top, component, command (a list), environment (YAML), kafka
(whether it connects to Kafka), and optionally seconds (how long it is retried until it succeeds).
*/}}
{{- define "operations.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ include "name" (list .top "operations") }}
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
  {{- include "volume.kafkaCa" .top | nindent 2 }}
  {{- end }}
{{- end }}
