{{/* The routing proxy's configuration (docs/model-proxy.md): a backend for each model on each server. JSON strings are TOML
     strings, for what the values' schema allows. */}}
{{- define "penstock.proxyConfig" -}}
{{- $name := include "penstock.name" . -}}
{{- $wakes := dict -}}
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
{{- if and $.Values.modelProxy.wake (eq $server.scaling.scaler "keda") (eq (int64 $server.scaling.minReplicas) 0) (not (hasKey $wakes $model.model)) }}
{{- $_ := set $wakes $model.model $server.name }}
{{- end }}
{{ end }}
{{- end }}
{{- $shares := dict }}
{{- range .Values.modelProxy.models }}{{ $_ := set $shares .name . }}{{ end }}
{{- range $model := concat (keys $shares) (keys $wakes) | uniq | sortAlpha }}
[[models]]
name = {{ $model | toJson }}
{{- with index $shares $model }}
{{- with .versions }}
versions = { {{ range $i, $version := keys . | sortAlpha }}{{ if $i }}, {{ end }}{{ $version | toJson }} = {{ index (index $shares $model).versions $version }}{{ end }} }
{{- end }}
{{- with .draining }}
draining = {{ . | toJson }}
{{- end }}
{{- end }}
{{- if hasKey $wakes $model }}
[models.wake]
seconds = {{ int64 $.Values.modelProxy.wakeSeconds }}
[models.wake.deployment]
namespace = {{ $.Release.Namespace | toJson }}
name = "{{ $name }}-model-{{ index $wakes $model }}"
{{- end }}
{{ end }}
{{- end }}
