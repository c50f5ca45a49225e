"""A mistake in a template is caught: by Helm, by the schemas of the API, or by the rules for pods."""

import re
import shutil
from pathlib import Path

import pytest

from tests.deploy.chart.pod_security import violations
from tests.deploy.chart.rendering import CASES, CHART, RenderFailed, pods, render
from tests.deploy.chart.run_pods import all_jobs
from tests.deploy.chart.test_api_versions import VERSIONS, wrong

MISTAKES = [
    ("gateway.yaml", r"readinessProbe:", "readyProbe:"),
    ("gateway.yaml", r"targetPort: http", "targetport: http"),
    ("gateway.yaml", r"port: http\}\n          periodSeconds: 5", "port: http}\n          periodSeconds: five"),
    ("_dagster-pod.tpl", r"serviceAccountName:", "serviceaccountname:"),
    (
        "network-policies.yaml",
        r"namespaceSelectors?|policyTypes: \[Ingress, Egress\]\n  egress",
        "policytypes: [Ingress]\n  egress",
    ),
    ("model-servers.yaml", r"claimName:", "claim:"),
    ("room.yaml", r"stabilizationWindowSeconds", "stabilisationWindowSeconds"),
    ("_dagster-instance.tpl", r"    resources:\n      \{\{- toYaml .Values.runs.resources \| nindent 6 \}\}\n", ""),
    (
        "_dagster-instance.tpl",
        r"    security_context:\n      \{\{- include \"penstock.containerSecurity\" . \| nindent 6 \}\}\n",
        "",
    ),
    ("relay.yaml", r"        resources:\n          \{\{- toYaml .resources \| nindent 10 \}\}\n", ""),
    ("_pods.tpl", r"  - ALL", "  - NET_RAW"),
    (
        "migrations.yaml",
        r"      securityContext:\n        \{\{- include \"penstock.podSecurity\" . \| nindent 8 \}\}\n",
        "",
    ),
    ("code-location.yaml", r"include \"penstock.selector\" \$self", 'include "penstock.selektor" $self'),
]


@pytest.mark.parametrize(
    ("file", "pattern", "replacement"), MISTAKES, ids=[f"{m[0]}-{n}" for n, m in enumerate(MISTAKES)]
)
def test_a_mistake_in_a_template_is_caught(file: str, pattern: str, replacement: str, tmp_path: Path) -> None:
    chart = tmp_path / "penstock"
    shutil.copytree(CHART, chart)
    template = chart / "templates" / file
    text, count = re.subn(pattern, replacement.replace("\\", r"\\"), template.read_text())
    assert count, "the template has changed: find another mistake"
    template.write_text(text)
    try:
        documents = render(CASES["everything"], chart=chart)
    except RenderFailed:
        return
    documents += all_jobs(documents)
    assert any(wrong(document, VERSIONS[-1]) for document in documents) or any(violations(p) for p in pods(documents))
