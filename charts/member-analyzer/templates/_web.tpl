{{/*
Templates shared by the web programs. Each is a Deployment of the image `web` behind a Service of the same name. Called with a
dict of: top, name (suffix), port, values (replicas, resources, and optionally autoscaling and ingress).
*/}}

{{/* The largest number of replicas. */}}
{{- define "web.maxReplicas" -}}
{{- $autoscaling := .values.autoscaling | default dict -}}
{{ ternary $autoscaling.maxReplicas .values.replicas (dig "enabled" false $autoscaling) }}
{{- end }}

{{/*
The Deployment. Its dict also has: module (the Python module), live and ready (paths of the probes), and optionally environment,
volumes and mounts (YAML), group (owner of the volumes), account (whether it calls the Kubernetes API), drain (seconds it still
serves after it was asked to stop), grace (seconds until it is killed).
*/}}
{{- define "web.deployment" -}}
{{- $named := list .top .name -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "name" $named }}
  labels:
    {{- include "labels" $named | nindent 4 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false .values) }}
  replicas: {{ .values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "selector" $named | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "labels" $named | nindent 8 }}
      {{- with .values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      automountServiceAccountToken: {{ .account | default false }}
      enableServiceLinks: false
      serviceAccountName: {{ include "name" $named }}
      {{- with .grace }}
      terminationGracePeriodSeconds: {{ . }}
      {{- end }}
      securityContext:
        {{- include "security.podOfGroup" (list 10001 (dig "group" 10001 .)) | nindent 8 }}
      {{- include "image.pullSecrets" .top | nindent 6 }}
      {{- if gt (include "web.maxReplicas" . | int) 1 }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "selector" $named | nindent 14 }}
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ include "image" (list .top .top.Values.images.web) }}
          imagePullPolicy: {{ .top.Values.images.pullPolicy }}
          command: [python, -m, {{ .module }}, --host, 0.0.0.0, --port, {{ .port | quote }}]
          securityContext:
            {{- include "security.container" . | nindent 12 }}
          {{- with .environment }}
          env:
            {{- . | nindent 12 }}
          {{- end }}
          ports:
            - name: http
              containerPort: {{ .port }}
          {{- with .drain }}
          lifecycle:
            preStop:
              exec:
                command: [sleep, {{ . | quote }}]
          {{- end }}
          startupProbe:
            httpGet: {path: {{ .live | quote }}, port: http}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {path: {{ .ready | quote }}, port: http}
            periodSeconds: 10
            timeoutSeconds: 5
          livenessProbe:
            httpGet: {path: {{ .live | quote }}, port: http}
            periodSeconds: 30
            timeoutSeconds: 10
            failureThreshold: 4
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            - name: temporary
              mountPath: /tmp
            {{- with .mounts }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        - name: temporary
          emptyDir: {}
        {{- with .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
{{- end }}

{{/* The Service, the ServiceAccount, and with several replicas the PodDisruptionBudget and the HorizontalPodAutoscaler. */}}
{{- define "web.service" -}}
{{- $named := list .top .name -}}
{{- $autoscaling := .values.autoscaling | default dict -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "name" $named }}
  labels:
    {{- include "labels" $named | nindent 4 }}
spec:
  selector:
    {{- include "selector" $named | nindent 4 }}
  ports:
    - name: http
      port: {{ .port }}
      targetPort: http
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "name" $named }}
  labels:
    {{- include "labels" $named | nindent 4 }}
automountServiceAccountToken: false
{{- if gt (include "web.maxReplicas" . | int) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "name" $named }}
  labels:
    {{- include "labels" $named | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "selector" $named | nindent 6 }}
{{- end }}
{{- if $autoscaling.enabled }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "name" $named }}
  labels:
    {{- include "labels" $named | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "name" $named }}
  minReplicas: {{ $autoscaling.minReplicas }}
  maxReplicas: {{ $autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $autoscaling.targetCPU }}
{{- end }}
{{- end }}

{{/* The Ingress; its dict also has: paths (a list of dicts of: path, pathType). */}}
{{- define "web.ingress" -}}
{{- with .values.ingress -}}
{{- if .enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "name" (list $.top $.name) }}
  labels:
    {{- include "labels" (list $.top $.name) | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .tlsSecret }}
  tls:
    - hosts: [{{ $.values.ingress.host }}]
      secretName: {{ . }}
  {{- end }}
  rules:
    - host: {{ .host }}
      http:
        paths:
          {{- range $.paths }}
          - path: {{ .path }}
            pathType: {{ .pathType }}
            backend:
              service:
                name: {{ include "name" (list $.top $.name) }}
                port:
                  name: http
          {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The proxies whose forwarding headers a program trusts; called with the values of its Ingress. */}}
{{- define "web.forwarded" -}}
{{- if and .enabled .controllers -}}
- name: FORWARDED_ALLOW_IPS
  value: {{ join "," .controllers | quote }}
{{- end }}
{{- end }}
