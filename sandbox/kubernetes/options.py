"""What the operator decides about the pods of sessions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class PodOptions:
    """`claim` is the PersistentVolumeClaim that holds `claim_folder`, Penstock's cache; empty for none."""

    namespace: str
    image: str
    claim_folder: Path
    runtime_class: str = "gvisor"
    claim: str = ""
    cpus: float = 1.0
    session_seconds: int = 7200
    """After this time Kubernetes itself ends the pod, also when Penstock is gone."""
    start_seconds: float = 120.0
    user_namespace: bool = False
    config: Path | None = None
    """The kubeconfig file; None for the service account of the pod that Penstock runs in, else the default file."""
    context: str = ""

    @classmethod
    def from_settings(cls) -> Self:
        from core.settings import load_settings

        settings = load_settings()
        return cls(
            namespace=settings.kubernetes_namespace,
            image=settings.kubernetes_image,
            claim_folder=settings.cache,
            runtime_class="" if settings.kubernetes_runtime_class == "none" else settings.kubernetes_runtime_class,
            claim=settings.kubernetes_cache_claim,
            cpus=settings.kubernetes_cpus,
            session_seconds=settings.kubernetes_session_seconds,
            start_seconds=settings.kubernetes_start_seconds,
            user_namespace=settings.kubernetes_user_namespace,
            config=settings.kubernetes_config,
            context=settings.kubernetes_context,
        )
