{{/* The model servers, each with the defaults of what it leaves out. */}}
{{- define "penstock.modelServers" -}}
servers:
{{- range .Values.modelServers }}
-
  {{- mergeOverwrite (deepCopy $.Values.modelServerDefaults) . | toYaml | nindent 2 }}
{{- else }} []
{{- end }}
{{- end }}

{{- define "penstock.modelScripts" -}}
{{- range $script := list "fetch.sh" "load.sh" "loaded.sh" "http.sh" }}
{{ $script }}: |
  {{- $.Files.Get (printf "files/%s" $script) | nindent 2 }}
{{- end }}
{{- end }}

{{/* (list $ server declared store); `declared` names the models with their digests. */}}
{{- define "penstock.modelEnv" -}}
{{- $server := index . 1 -}}
- name: HOME
  value: /tmp
- name: MODELS
  value: {{ index . 2 | join " " | quote }}
- name: STORE
  value: /models/{{ index . 3 }}
- name: GPUS
  value: {{ int64 $server.gpus | quote }}
- name: SECONDS_TO_START
  value: {{ int64 $server.startSeconds | quote }}
{{- end }}

{{- define "penstock.modelMounts" -}}
- name: tmp
  mountPath: /tmp
- name: scripts
  mountPath: /scripts
  readOnly: true
- name: models
  mountPath: /models
  {{- if index . 1 }}
  readOnly: true
  {{- end }}
{{- end }}
