"""Penstock's runs on Kubernetes: `launcher` starts and ends them, `resources` says what their pods get.

Imported only where the chart (deploy/chart) runs it. Sandboxes in pods are another matter: `sandbox.kubernetes`.
"""
