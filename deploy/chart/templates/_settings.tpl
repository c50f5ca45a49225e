{{/* Penstock's settings as variables. Those that follow from other values cannot be given in `settings`. */}}
{{- define "penstock.settings" -}}
{{- $own := dict
    "HOME" "/var/lib/penstock"
    "CACHE" "/var/cache/penstock"
    "GATEWAY_HOST" "0.0.0.0"
    "GATEWAY_PORT" (int64 .Values.gateway.port | toString)
    "RUN_LAUNCHER" "stock"
    "SLOTS" (int64 .Values.runs.slots | toString)
    "EVENT_LOG" .Values.eventLog
    "SANDBOX" "kubernetes"
    "KUBERNETES_NAMESPACE" .Values.sandbox.namespace
    "KUBERNETES_IMAGE" (include "penstock.image" (list . .Values.images.sandbox "images.sandbox"))
    "KUBERNETES_RUNTIME_CLASS" (.Values.sandbox.runtimeClass | default "none")
    "KUBERNETES_CACHE_CLAIM" .Values.sandbox.cacheClaim
    "KUBERNETES_CPUS" (toString .Values.sandbox.cpus)
    "KUBERNETES_SESSION_SECONDS" (int64 .Values.sandbox.sessionSeconds | toString)
-}}
{{- if eq .Values.eventLog "kafka" -}}
{{- $_ := set $own "KAFKA_BOOTSTRAP" (required "kafka.bootstrap is missing: eventLog is kafka, so name the brokers as host:port,host:port" .Values.kafka.bootstrap) -}}
{{- $_ := set $own "KAFKA_SECURITY" .Values.kafka.security -}}
{{- $_ := set $own "KAFKA_SASL" .Values.kafka.sasl -}}
{{- $_ := set $own "KAFKA_PARTITIONS" (int64 .Values.kafka.partitions | toString) -}}
{{- $_ := set $own "KAFKA_REPLICATION" (int64 .Values.kafka.replication | toString) -}}
{{- with .Values.kafka.user }}{{ $_ := set $own "KAFKA_USER" . }}{{ end -}}
{{- end -}}
{{- if .Values.jobs }}{{ $_ := set $own "KUBERNETES_JOBS" "/etc/penstock/jobs/jobs.yaml" }}{{ end -}}
{{- if and .Values.modelServers (not .Values.modelProxy.enabled) -}}
{{- fail "modelServers are given, but modelProxy.enabled is false: nothing would ask them. Enable it, or remove the servers" -}}
{{- end -}}
{{- range $name, $value := .Values.settings -}}
{{- if hasKey $own (upper $name) -}}
{{- fail (printf "settings.%s cannot be given: it follows from other values of this chart" $name) -}}
{{- end -}}
{{- if hasKey $.Values.secrets $name -}}
{{- fail (printf "settings.%s is a secret that `secrets` refers to: remove it from settings" $name) -}}
{{- end -}}
{{- if kindIs "float64" $value }}{{ $value = ternary (int64 $value | toString) (toString $value) (eq (float64 (int64 $value)) $value) }}{{ end -}}
{{- $_ := set $own (upper $name) (toString $value) -}}
{{- end -}}
{{- range $name, $value := $own }}
{{- if ne $value "" }}
PENSTOCK_{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
PYTHONUNBUFFERED: "1"
DAGSTER_DISABLE_TELEMETRY: "1"
{{- end }}
