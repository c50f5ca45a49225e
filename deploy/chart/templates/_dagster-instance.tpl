{{/* Dagster's instance. Every pod that dagster-k8s makes, for a run or a step, is made from `run_launcher`. */}}
{{- define "penstock.dagsterInstance" -}}
{{- range $job := list "resolve_task" "run_evals" -}}
{{- if (index $.Values.jobs $job | default dict).steps -}}
{{- fail (printf "jobs.%s.steps cannot be given: these steps share one process, such as a task's lease. Give jobs.%s.resources" $job $job) -}}
{{- end -}}
{{- end -}}
{{- $name := include "penstock.name" . }}{{ $run := list . "run" -}}
storage:
  postgres:
    postgres_url:
      env: PENSTOCK_DAGSTER_DATABASE_URL
sensors:
  use_threads: true
  num_workers: 8
  num_submit_workers: 4
schedules:
  use_threads: true
  num_workers: 2
telemetry:
  enabled: false
nux:
  enabled: false
local_artifact_storage:
  module: dagster._core.storage.root
  class: LocalArtifactStorage
  config:
    base_dir: /opt/dagster/home
# What a run prints is in its pod's log. Dagster would keep a copy on the disk of the pod, which nobody could read.
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
# A run whose pod is gone is relaunched by the reconciler, as a new run with the same lease. So Dagster itself does neither.
run_monitoring:
  enabled: true
  poll_interval_seconds: 10
  start_timeout_seconds: {{ int64 .Values.runs.startSeconds }}
  cancel_timeout_seconds: 90
  max_resume_run_attempts: 0
run_retries:
  enabled: false
  retry_on_asset_or_op_failure: false
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days:
      skipped: 1
      failure: 30
      success: 30
concurrency:
  runs:
    max_concurrent_runs: {{ add (int64 .Values.runs.slots) 2 }}
run_launcher:
  module: dagster_project.kubernetes.launcher
  class: KubernetesRunLauncher
  config:
    job_namespace: {{ .Release.Namespace }}
    service_account_name: {{ $name }}-run
    job_image: {{ include "penstock.image" (list . .Values.images.penstock "images.penstock") | quote }}
    image_pull_policy: IfNotPresent
    image_pull_secrets:
    {{- range .Values.imagePullSecrets }}
    - name: {{ . }}
    {{- else }} []
    {{- end }}
    instance_config_map: {{ $name }}-dagster
    dagster_home: /opt/dagster/home
    env_config_maps:
    - {{ $name }}-settings
    # The run's own labels come from here; Dagster adds those of the job and the run.
    labels:
      {{- include "penstock.labels" $run | nindent 6 }}
    resources:
      {{- toYaml .Values.runs.resources | nindent 6 }}
    security_context:
      {{- include "penstock.containerSecurity" . | nindent 6 }}
    volume_mounts:
    {{- include "penstock.mounts" $run | nindent 4 }}
    - name: dagster-home
      mountPath: /opt/dagster/home
    {{- include "penstock.sharedMounts" . | nindent 4 }}
    - name: dagster-instance
      mountPath: /opt/dagster/home/dagster.yaml
      subPath: dagster.yaml
      readOnly: true
    {{- if .Values.jobs }}
    - name: dagster-instance
      mountPath: /etc/penstock/jobs
      readOnly: true
    {{- end }}
    volumes:
    {{- include "penstock.volumes" $run | nindent 4 }}
    {{- include "penstock.dagsterVolumes" . | nindent 4 }}
    {{- include "penstock.sharedVolumes" . | nindent 4 }}
    run_k8s_config:
      container_config:
        env:
        - name: PENSTOCK_DAGSTER_DATABASE_URL
          value_from:
            secret_key_ref:
              name: {{ .Values.secrets.dagster_database_url.name }}
              key: {{ .Values.secrets.dagster_database_url.key }}
        {{- include "penstock.secretEnv" $run | nindent 8 }}
      pod_template_spec_metadata:
        annotations:
          # A run that an autoscaler moves would begin its last action again.
          cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
      pod_spec_config:
        enable_service_links: false
        termination_grace_period_seconds: 60
        security_context:
          {{- include "penstock.podSecurity" . | nindent 10 }}
        {{- with .Values.runs.nodeSelector }}
        node_selector:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with .Values.runs.tolerations }}
        tolerations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with .Values.runs.priorityClassName }}
        priority_class_name: {{ . }}
        {{- end }}
        topology_spread_constraints:
        - max_skew: 1
          topology_key: kubernetes.io/hostname
          when_unsatisfiable: ScheduleAnyway
          label_selector:
            match_labels:
              {{- include "penstock.selector" $run | nindent 14 }}
      job_spec_config:
        # A pod is not started again: a new run is, and the lease decides which of them counts.
        backoff_limit: 0
        active_deadline_seconds: {{ int64 .Values.runs.deadlineSeconds }}
        ttl_seconds_after_finished: {{ int64 .Values.runs.keepSeconds }}
    # Code may ask for resources and nodes, and for nothing that would loosen a pod's isolation.
    only_allow_user_defined_k8s_config_fields:
      container_config:
        resources: true
      pod_spec_config:
        node_selector: true
        tolerations: true
      job_metadata: {}
      job_spec_config: {}
      pod_template_spec_metadata: {}
      namespace: false
{{- end }}
