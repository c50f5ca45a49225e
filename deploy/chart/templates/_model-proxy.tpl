{{/* The routing proxy's configuration (docs/model-proxy.md): a backend for each model on each server. JSON strings are TOML
     strings, for what the values' schema allows. */}}
{{- define "penstock.proxyConfig" -}}
{{- $name := include "penstock.name" . -}}
{{- range $server := (include "penstock.modelServers" . | fromYaml).servers }}
{{- range $index, $model := $server.models }}
[[backends]]
name = "{{ $server.name }}{{ if $index }}-{{ add $index 1 }}{{ end }}"
url = "http://{{ $name }}-model-{{ $server.name }}:11434"
kind = "ollama"
model = {{ $model.model | toJson }}
served = {{ $model.served | toJson }}
version = {{ $model.version | toJson }}
concurrency = {{ int64 $server.parallel }}
{{- if and $.Values.modelProxy.wake (eq $server.scaling.scaler "keda") (eq (int64 $server.scaling.minReplicas) 0) }}
[backends.wake]
seconds = {{ int64 $.Values.modelProxy.wakeSeconds }}
[backends.wake.deployment]
namespace = {{ $.Release.Namespace | toJson }}
name = "{{ $name }}-model-{{ $server.name }}"
{{- end }}
{{ end }}
{{- end }}
{{- range $model := .Values.modelProxy.models }}
[[models]]
name = {{ $model.name | toJson }}
{{- with $model.versions }}
versions = { {{ range $i, $version := keys . | sortAlpha }}{{ if $i }}, {{ end }}{{ $version | toJson }} = {{ index $model.versions $version }}{{ end }} }
{{- end }}
{{- with $model.draining }}
draining = {{ . | toJson }}
{{- end }}
{{ end }}
{{- end }}
