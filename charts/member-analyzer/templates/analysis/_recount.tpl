{{- define "recount.environment" -}}
{{ include "environment.cassandra" (list . "cassandra-stream") }}
# Required by the session, which the stream shares; the recount keeps no checkpoint.
- name: STREAM_CHECKPOINT
  value: file:///tmp/checkpoint
{{- end }}

{{- define "recount.application" -}}
apiVersion: sparkoperator.k8s.io/v1beta2
kind: SparkApplication
metadata:
  name: {{ include "name" (list . "recount") }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "labels" (list . "recount") | nindent 4 }}
spec:
  {{- include "spark.program" . | nindent 2 }}
  mainApplicationFile: local:///opt/member-analyzer/spark-apps/recount.py
  # Airflow retries.
  restartPolicy:
    type: Never
  # Clean up after a day if Airflow did not.
  timeToLiveSeconds: 86400
  sparkConf:
    {{- include "spark.configuration" . | nindent 4 }}
  driver:
    cores: 1
    coreRequest: {{ .Values.recount.driver.cpu | quote }}
    memory: {{ .Values.recount.driver.memory }}
    memoryOverhead: {{ .Values.recount.driver.memoryOverhead }}
    serviceAccount: {{ include "name" (list . "spark") }}
    template:
      {{- include "spark.template" (dict "top" . "component" "recount" "container" "spark-kubernetes-driver" "probe" false "environment" (include "recount.environment" .)) | nindent 6 }}
  executor:
    instances: {{ .Values.recount.executor.instances }}
    cores: {{ .Values.recount.executor.cores }}
    coreRequest: {{ .Values.recount.executor.cpu | quote }}
    memory: {{ .Values.recount.executor.memory }}
    memoryOverhead: {{ .Values.recount.executor.memoryOverhead }}
    serviceAccount: {{ include "name" (list . "spark-executor") }}
    template:
      {{- include "spark.template" (dict "top" . "component" "recount" "container" "spark-kubernetes-executor" "probe" false "environment" "[]") | nindent 6 }}
{{- end }}
