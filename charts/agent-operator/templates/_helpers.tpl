{{/* Name of everything in the release: the release's name, with the chart's unless it is part of it. */}}
{{- define "agent-operator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What selects the operator's pod; a Deployment's selector never changes, so nothing else goes in. */}}
{{- define "agent-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agent-operator.podLabels" -}}
{{- $own := include "agent-operator.selectorLabels" . | fromYaml -}}
{{- $own = merge $own (dict "app.kubernetes.io/component" "operator" "app.kubernetes.io/part-of" "agentdeploy") -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end }}

{{- define "agent-operator.labels" -}}
{{- $own := dict
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/version" .Chart.AppVersion
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- merge $own (include "agent-operator.podLabels" . | fromYaml) | toYaml -}}
{{- end }}

{{- define "agent-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "agent-operator.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{- define "agent-operator.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* Settings of the operator as environment variables, in the order of agent_operator/settings.py. */}}
{{- define "agent-operator.environment" -}}
{{- $url := required "prometheus.url is required, as in --set prometheus.url=http://prometheus.monitoring:9090" .Values.prometheus.url -}}
- name: AGENT_OPERATOR_PROMETHEUS_URL
  value: {{ $url | quote }}
{{- with .Values.watch.namespaces }}
- name: AGENT_OPERATOR_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
- name: AGENT_OPERATOR_LOG_LEVEL
  value: {{ .Values.logging.level | quote }}
- name: AGENT_OPERATOR_LOG_FORMAT
  value: {{ .Values.logging.format | quote }}
- name: AGENT_OPERATOR_HEALTH_PORT
  value: "8080"
- name: AGENT_OPERATOR_WORKERS
  value: {{ .Values.workers | quote }}
- name: AGENT_OPERATOR_TICK_SECONDS
  value: {{ .Values.tickSeconds | quote }}
- name: AGENT_OPERATOR_RESYNC_SECONDS
  value: {{ .Values.resyncSeconds | quote }}
- name: AGENT_OPERATOR_SCRAPE_INTERVAL_SECONDS
  value: {{ .Values.prometheus.scrapeInterval | trimSuffix "s" | quote }}
- name: AGENT_OPERATOR_QUERY_LAG_SECONDS
  value: {{ .Values.prometheus.queryLag | trimSuffix "s" | quote }}
- name: AGENT_OPERATOR_PROMETHEUS_TIMEOUT_SECONDS
  value: {{ .Values.prometheus.timeoutSeconds | quote }}
{{- if .Values.prometheus.caConfigMap }}
- name: AGENT_OPERATOR_PROMETHEUS_CA_FILE
  value: /etc/agent-operator/prometheus-ca/ca.crt
{{- end }}
{{- with .Values.prometheus.existingSecret }}
{{- if eq $.Values.prometheus.authentication "basic" }}
- name: AGENT_OPERATOR_PROMETHEUS_USERNAME
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: username}}
- name: AGENT_OPERATOR_PROMETHEUS_PASSWORD_FILE
  value: /etc/agent-operator/prometheus-login/password
{{- else }}
- name: AGENT_OPERATOR_PROMETHEUS_TOKEN_FILE
  value: /etc/agent-operator/prometheus-login/token
{{- end }}
{{- end }}
{{- with .Values.prometheus.headers }}
{{- $pairs := list }}
{{- range $name, $value := . }}
{{- $pairs = append $pairs (printf "%s=%s" $name $value) }}
{{- end }}
- name: AGENT_OPERATOR_PROMETHEUS_HEADERS
  value: {{ join "," $pairs | quote }}
{{- end }}
{{- end }}

{{/* What the operator may do, in the whole cluster or in each watched namespace. */}}
{{- define "agent-operator.rules" -}}
# The objects people write: followed, never changed.
- apiGroups: [agentdeploy.dev]
  resources: [agentdeployments]
  verbs: [get, list, watch]
# Where a rollout stands is recorded here before anything is done about it.
- apiGroups: [agentdeploy.dev]
  resources: [agentdeployments/status]
  verbs: [patch]
# Revisions, prompts, Services and Deployments of an agent. All are followed to repair drift, written
# by server-side apply (patch; create too when the object is new) and deleted when history ends.
- apiGroups: [""]
  resources: [configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions, deployments]
  verbs: [get, list, watch, create, patch, delete]
# Replicas are written here only, so that an apply never fights an autoscaler.
- apiGroups: [apps]
  resources: [deployments/scale]
  verbs: [patch]
# Autoscaling on active sessions.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
# Drains of nodes leave enough pods.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Weights between stable and canary, for agents with spec.traffic.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# One Secret with a random key per agent is created once, never read again or changed; whether it and
# referenced ones exist is asked by metadata-only GETs. Never listed or watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create]
# Decisions are told as Events.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
