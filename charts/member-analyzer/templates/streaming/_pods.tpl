{{/*
The pod template of a Spark driver or executor. Called with a dict of: top, component, container, environment, volumes and mounts
(YAML), probe (whether a hanging pod is restarted).

The operator's webhook adds the fields beside the template, so a pod that is created while the webhook is unavailable would lack
them. The template does not depend on it.
*/}}
{{- define "spark.template" -}}
metadata:
  labels:
    {{- include "labels" (list .top .component) | nindent 4 }}
spec:
  enableServiceLinks: false
  securityContext:
    {{- include "security.pod" 185 | nindent 4 }}
  {{- with .affinity }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .container }}
      securityContext:
        {{- include "security.container" . | nindent 8 }}
      env:
        {{- .environment | nindent 8 }}
      {{- if .probe }}
      # A JVM can hang at shutdown, in RocksDB's threads. Spark's UI has stopped by then.
      startupProbe:
        httpGet: {path: /api/v1/version, port: 4040}
        periodSeconds: 5
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /api/v1/version, port: 4040}
        periodSeconds: 15
        timeoutSeconds: 10
        failureThreshold: 4
      {{- end }}
      volumeMounts:
        - name: temporary
          mountPath: /tmp
        - name: work
          mountPath: /opt/spark/work-dir
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
  volumes:
    - name: temporary
      emptyDir: {}
    - name: work
      emptyDir: {}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Version and image of every Spark job. */}}
{{- define "spark.program" -}}
type: Python
mode: cluster
sparkVersion: 3.5.7
image: {{ include "image" (list . .Values.images.spark) }}
imagePullPolicy: {{ .Values.images.pullPolicy }}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {{ .name }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Settings of every Spark job. */}}
{{- define "spark.configuration" -}}
# Fixed ports, for the network policies.
spark.driver.port: "7078"
spark.driver.blockManager.port: "7079"
spark.blockManager.port: "7079"
spark.kubernetes.executor.deleteOnTermination: "true"
# The same Python in driver and executors.
spark.pyspark.python: python3
spark.jars.ivy: /tmp/.ivy2
{{- end }}
