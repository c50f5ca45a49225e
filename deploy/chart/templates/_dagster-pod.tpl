{{/* Deployments of Dagster's processes, which differ in their command: a dict with root, component, values, args, port,
     probes, account (its service account), strategy. */}}
{{- define "penstock.dagsterDeployment" -}}
{{- $ := .root }}{{ $self := list .root .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "penstock.name" $ }}-{{ .component }}
  labels:
    {{- include "penstock.labels" $self | nindent 4 }}
spec:
  replicas: {{ .values.replicas | default 1 }}
  revisionHistoryLimit: 3
  strategy:
    {{- toYaml .strategy | nindent 4 }}
  selector:
    matchLabels:
      {{- include "penstock.selector" $self | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "penstock.labels" $self | nindent 8 }}
      annotations:
        {{- include "penstock.checksums" $ | nindent 8 }}
    spec:
      serviceAccountName: {{ include "penstock.name" $ }}-{{ .account }}
      automountServiceAccountToken: {{ .token }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace | default 30 }}
      {{- include "penstock.pullSecrets" $ | nindent 6 }}
      securityContext:
        {{- include "penstock.podSecurity" $ | nindent 8 }}
      {{- include "penstock.spread" $self | nindent 6 }}
      {{- include "penstock.placement" .values | nindent 6 }}
      containers:
      - name: {{ .component }}
        image: {{ include "penstock.image" (list $ $.Values.images.penstock "images.penstock") }}
        imagePullPolicy: IfNotPresent
        args:
        {{- toYaml .args | nindent 8 }}
        {{- with .port }}
        ports:
        - name: {{ .name }}
          containerPort: {{ .number }}
        {{- end }}
        envFrom:
        {{- include "penstock.envFrom" $ | nindent 8 }}
        env:
        - name: DAGSTER_HOME
          value: /opt/dagster/home
        {{- include "penstock.dagsterEnv" $ | nindent 8 }}
        {{- include "penstock.secretEnv" $self | nindent 8 }}
        {{- toYaml .probes | nindent 8 }}
        resources:
          {{- toYaml .values.resources | nindent 10 }}
        securityContext:
          {{- include "penstock.containerSecurity" $ | nindent 10 }}
        volumeMounts:
        {{- include "penstock.mounts" $self | nindent 8 }}
        {{- include "penstock.dagsterMounts" $ | nindent 8 }}
        {{- if and $.Values.jobs (eq .component "code") }}
        - name: dagster-instance
          mountPath: /etc/penstock/jobs
          readOnly: true
        {{- end }}
        {{- if .workspace }}
        - name: dagster-instance
          mountPath: /opt/dagster/workspace
          readOnly: true
        {{- end }}
        {{- include "penstock.sharedMounts" $ | nindent 8 }}
      volumes:
      {{- include "penstock.volumes" $self | nindent 6 }}
      {{- include "penstock.dagsterVolumes" $ | nindent 6 }}
      {{- include "penstock.sharedVolumes" $ | nindent 6 }}
{{- end }}
