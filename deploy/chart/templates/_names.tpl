{{- define "penstock.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "penstock" $name) }}{{ $name = printf "%s-penstock" $name }}{{ end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What selects the pods of a component: (list $ "gateway") */}}
{{- define "penstock.selector" -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end }}

{{/* An image by its digest, else by its tag: (list $ .Values.images.penstock "images.penstock") */}}
{{- define "penstock.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 }}{{ $path := index . 2 -}}
{{- if and (not $image.tag) (not $image.digest) -}}
{{- fail (printf "%s has neither a tag nor a digest: set %s.digest to the sha256:... that the registry shows for the image, or %s.tag" $path $path $path) -}}
{{- end -}}
{{- if and (eq $image.tag "latest") (not $image.digest) -}}
{{- fail (printf "%s.tag is latest, which means another image tomorrow: name a version, or better %s.digest" $path $path) -}}
{{- end -}}
{{- if and $root.Values.requireDigests (not $image.digest) -}}
{{- fail (printf "%s.digest is missing, and requireDigests is true: a tag can be moved to another image. Set it to the sha256:... that the registry shows" $path) -}}
{{- end -}}
{{- with $root.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}
{{- with $image.tag }}:{{ . }}{{ end }}{{ with $image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- define "penstock.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}
