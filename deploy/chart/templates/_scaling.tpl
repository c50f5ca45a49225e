{{/* A metric of a HorizontalPodAutoscaler: a dict with `of` (metric, labels) and `target`. While it cannot be had, the
autoscaler does not scale down. */}}
{{- define "penstock.externalMetric" -}}
- type: External
  external:
    metric:
      name: {{ .of.metric }}
      selector:
        matchLabels:
          {{- toYaml .of.labels | nindent 10 }}
    target:
      {{- toYaml .target | nindent 6 }}
{{- end }}

{{/* The same for KEDA: (list server aggregation of threshold). Without a value the trigger fails, and after some failures
the number of replicas stays what it is (`fallback`). */}}
{{- define "penstock.kedaMetric" -}}
{{- $of := index . 2 -}}
{{- $labels := list -}}
{{- range $name, $value := $of.labels }}{{ $labels = append $labels (printf "%s=%q" $name $value) }}{{ end -}}
- type: prometheus
  metricType: AverageValue
  metadata:
    serverAddress: {{ index . 0 }}
    query: {{ printf "%s(%s{%s})" (index . 1) $of.metric (join "," $labels) | squote }}
    threshold: {{ index . 3 | toString | quote }}
    ignoreNullValues: "false"
{{- end }}
