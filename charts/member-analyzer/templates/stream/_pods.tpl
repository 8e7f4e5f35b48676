{{/*
The pods of a Spark job, as a driver or an executor template; called with a dict of: top, component, container, environment
(text), volumes (text), mounts (text), probe (whether a pod that hangs is to be ended).

A template and not the fields beside it: those are added by the operator's webhook, and a pod that is made while the
webhook is away would lack them.
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
      # A JVM can hang at its end, in RocksDB's own threads; Spark's page is gone by then.
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

{{/* What every Spark job runs: Spark's version and the image. */}}
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

{{/* The settings that every Spark job has. */}}
{{- define "spark.configuration" -}}
# Known ports, for the network policies.
spark.driver.port: "7078"
spark.driver.blockManager.port: "7079"
spark.blockManager.port: "7079"
spark.kubernetes.executor.deleteOnTermination: "true"
# Python is ours and the same in driver and executors.
spark.pyspark.python: python3
spark.jars.ivy: /tmp/.ivy2
{{- end }}
