{{/* Spread servers over zones, at most one per node; called with (list . "kafka" or "zookeeper"). */}}
{{- define "kafka.spread" -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      strimzi.io/name: {{ include "name" . }}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels:
      strimzi.io/name: {{ include "name" . }}
{{- end }}
