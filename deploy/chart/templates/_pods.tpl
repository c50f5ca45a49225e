{{/* What every pod has. The Pod Security Standard "restricted" asks for it. */}}
{{- define "penstock.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch # else each mount would open the files of secrets to the group
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "penstock.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop:
  - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* One replica for each zone and node, as far as possible: (list $ "gateway") */}}
{{- define "penstock.spread" -}}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "penstock.selector" $ | nindent 6 }}
{{- end }}
{{- end }}

{{- define "penstock.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* The names of the secrets' settings that a component is given, separated by spaces: (list $ "gateway") */}}
{{- define "penstock.secretsOf" -}}
{{- $root := index . 0 }}{{ $component := index . 1 -}}
{{- range $setting, $from := $root.Values.secrets -}}
{{- $wanted := true -}}
{{- if eq $setting "dagster_database_url" }}{{ $wanted = false -}}
{{- else if eq $setting "database_owner_url" }}{{ $wanted = has $component (list "run" "migrate") -}}
{{- else if eq $component "relay" }}{{ $wanted = or (eq $setting "database_url") (hasPrefix "kafka_" $setting) -}}
{{- else if eq $component "migrate" }}{{ $wanted = eq $setting "database_url" -}}
{{- else if eq $component "model-proxy" }}{{ $wanted = has $setting (list "database_url" "metrics_token") -}}
{{- else if eq $component "run" }}{{ $wanted = not (or (hasSuffix "_webhook_secret" $setting) (has $setting (list "slack_signing_secret" "metrics_token"))) -}}
{{- else if eq $component "gateway" }}{{ $wanted = not (or (and (hasSuffix "_token" $setting) (ne $setting "metrics_token")) (has $setting (list "mail_server" "callback_secret"))) -}}
{{- end -}}
{{- if $wanted }}{{ $setting }} {{ end -}}
{{- end -}}
{{- end }}

{{/* Environment of a container of ours: addresses of secrets' files, never the secrets. (list $ "gateway") */}}
{{- define "penstock.secretEnv" -}}
{{- range $setting := splitList " " (include "penstock.secretsOf" . | trim) }}
{{- if $setting }}
- name: PENSTOCK_{{ upper $setting }}_FILE
  value: /etc/penstock/secrets/{{ $setting }}
{{- end }}
{{- end }}
{{- if (index . 0).Values.kafka.ca.name }}
- name: PENSTOCK_KAFKA_CA
  value: /etc/penstock/kafka/ca.crt
{{- end }}
{{- end }}

{{- define "penstock.dagsterEnv" -}}
- name: PENSTOCK_DAGSTER_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.secrets.dagster_database_url.name }}
      key: {{ .Values.secrets.dagster_database_url.key }}
{{- end }}

{{/* Volumes that every container of ours has: (list $ "gateway") */}}
{{- define "penstock.volumes" -}}
{{- $root := index . 0 -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ $root.Values.tmpSize }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
    {{- range $setting := splitList " " (include "penstock.secretsOf" . | trim) }}
    {{- with index $root.Values.secrets $setting }}
    - secret:
        name: {{ .name }}
        items:
        - key: {{ .key }}
          path: {{ $setting }}
    {{- end }}
    {{- end }}
{{- with $root.Values.kafka.ca }}
{{- if .name }}
- name: kafka-ca
  secret:
    secretName: {{ .name }}
    defaultMode: 0440
    items:
    - key: {{ .key }}
      path: ca.crt
{{- end }}
{{- end }}
{{- end }}

{{- define "penstock.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: secrets
  mountPath: /etc/penstock/secrets
  readOnly: true
{{- if (index . 0).Values.kafka.ca.name }}
- name: kafka-ca
  mountPath: /etc/penstock/kafka
  readOnly: true
{{- end }}
{{- end }}

{{/* The shared folders: state, and what set-up fetches and builds. */}}
{{- define "penstock.sharedVolumes" -}}
- name: home
  persistentVolumeClaim:
    claimName: {{ .Values.storage.home.existingClaim | default (printf "%s-home" (include "penstock.name" .)) }}
- name: cache
  persistentVolumeClaim:
    claimName: {{ .Values.storage.cache.existingClaim | default (printf "%s-cache" (include "penstock.name" .)) }}
{{- end }}

{{- define "penstock.sharedMounts" -}}
- name: home
  mountPath: /var/lib/penstock
- name: cache
  mountPath: /var/cache/penstock
{{- end }}

{{- define "penstock.ownFolders" -}}
- name: home
  emptyDir:
    sizeLimit: 256Mi
- name: cache
  emptyDir:
    sizeLimit: 256Mi
{{- end }}

{{/* Dagster's home: its instance file comes from a ConfigMap, what it writes goes to the pod. */}}
{{- define "penstock.dagsterVolumes" -}}
- name: dagster-home
  emptyDir:
    sizeLimit: 1Gi
- name: dagster-instance
  configMap:
    name: {{ include "penstock.name" . }}-dagster
{{- end }}

{{- define "penstock.dagsterMounts" -}}
- name: dagster-home
  mountPath: /opt/dagster/home
- name: dagster-instance
  mountPath: /opt/dagster/home/dagster.yaml
  subPath: dagster.yaml
  readOnly: true
{{- end }}

{{- define "penstock.envFrom" -}}
- configMapRef:
    name: {{ include "penstock.name" . }}-settings
{{- end }}

{{/* Pods are replaced when what they read at their start has changed. */}}
{{- define "penstock.checksums" -}}
checksum/settings: {{ include (print .Template.BasePath "/settings.yaml") . | sha256sum }}
checksum/dagster: {{ include (print .Template.BasePath "/dagster-instance.yaml") . | sha256sum }}
{{- end }}
