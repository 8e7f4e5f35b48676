{{/* The SparkApplication of the recount, and what its pods know. */}}
{{- define "recount.environment" -}}
{{ include "environment.cassandra" (list . "cassandra-stream") }}
# The recount keeps no checkpoint; its session is made by the same code as the stream's.
- name: STREAM_CHECKPOINT
  value: file:///tmp/checkpoint
{{- end }}

{{- define "recount.application" -}}
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata:
  name: recount-members
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" (list . "recount") | nindent 4 }}
spec:
  {{- include "spark.program" . | nindent 2 }}
  mainApplicationFile: local:///opt/member-analyzer/spark-apps/recount.py
  # Airflow tries again.
  restartPolicy:
    type: Never
  # What is left of one that Airflow lost sight of goes after a day.
  timeToLiveSeconds: 86400
  sparkConf:
    {{- include "spark.configuration" . | nindent 4 }}
  driver:
    cores: 1
    coreRequest: {{ .Values.recount.driver.cpu | quote }}
    memory: {{ .Values.recount.driver.memory }}
    memoryOverhead: {{ .Values.recount.driver.memoryOverhead }}
    serviceAccount: spark
    template:
      {{- include "spark.template" (dict "top" . "component" "recount" "container" "spark-kubernetes-driver" "probe" false "environment" (include "recount.environment" .)) | nindent 6 }}
  executor:
    instances: {{ .Values.recount.executor.instances }}
    cores: {{ .Values.recount.executor.cores }}
    coreRequest: {{ .Values.recount.executor.cpu | quote }}
    memory: {{ .Values.recount.executor.memory }}
    memoryOverhead: {{ .Values.recount.executor.memoryOverhead }}
    serviceAccount: spark-executor
    template:
      {{- include "spark.template" (dict "top" . "component" "recount" "container" "spark-kubernetes-executor" "probe" false "environment" "[]") | nindent 6 }}
{{- end }}
