{{/* One pod of a component at a time may be evicted, so that nodes can always be drained. */}}
{{- define "penstock.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "penstock.name" (index . 0) }}-{{ index . 1 }}
  labels:
    {{- include "penstock.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "penstock.selector" . | nindent 6 }}
{{- end }}
