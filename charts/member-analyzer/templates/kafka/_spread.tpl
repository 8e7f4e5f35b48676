{{/* Servers of one kind are spread over zones, and are never two on a node; called with their name. */}}
{{- define "kafka.spread" -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      strimzi.io/name: members-{{ . }}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: DoNotSchedule
  labelSelector:
    matchLabels:
      strimzi.io/name: members-{{ . }}
{{- end }}
