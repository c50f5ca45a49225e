"""Requests to the API server about the pods of one namespace, with timeouts, retries and messages that say what to do.

Every failure is `SandboxUnavailable`. The official client finds the server and signs requests; answers are taken as
plain data, so that a server that is newer than the client does not matter.
"""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from sandbox.protocol import SandboxUnavailable

from .channels import Channels, connect
from .failures import ApiFailure, said
from .manifests import CONTAINER
from .options import PodOptions

if TYPE_CHECKING:
    from tenacity import RetryCallState

Answer = TypeVar("Answer")

_TIMEOUTS = (5.0, 30.0)
"""Seconds to connect, and to wait for more of an answer."""
_MOST_BYTES = 32 << 20
"""Of an answer."""
_ATTEMPTS = 5
_LONGEST_PAUSE = 10.0
_PASSING = frozenset({408, 410, 429})
"""Statuses that may change on a retry, as every 5xx may."""
_APPLY = "apply deploy/kubernetes/sandboxes.yaml, and check the names in it"


class Cluster:
    """The API server that the options name. Raises `SandboxUnavailable` when it is not configured."""

    def __init__(self, options: PodOptions) -> None:
        self.namespace = options.namespace
        self._client = _client(options)

    @property
    def address(self) -> str:
        return str(self._client.configuration.host)

    def create(self, pod: dict[str, Any]) -> None:
        def ask(attempt: int) -> None:
            try:
                self._call("POST", "pods", body=pod)
            except ApiFailure as failure:
                if not (failure.status == 409 and attempt > 1):  # an earlier attempt has arrived
                    raise

        self._retried("the pod of a session cannot be created", ask)

    def pod(self, name: str) -> dict[str, Any] | None:
        """None when there is no such pod."""

        def ask(attempt: int) -> dict[str, Any] | None:
            try:
                return self._call("GET", f"pods/{quote(name)}")
            except ApiFailure as failure:
                if failure.status == 404:
                    return None
                raise

        return self._retried(f"the state of pod {name} cannot be read", ask)

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """At most 500 pods."""
        query = [("labelSelector", selector), ("limit", "500")]
        found = self._retried("pods cannot be listed", lambda _: self._call("GET", "pods", query=query))
        return [item for item in found.get("items") or [] if isinstance(item, dict)]

    def delete(self, name: str) -> None:
        """Starts the deletion; does nothing when there is no such pod. Within a second the node kills what runs."""

        def ask(attempt: int) -> None:
            try:
                self._call("DELETE", f"pods/{quote(name)}", query=[("gracePeriodSeconds", "1")])
            except ApiFailure as failure:
                if failure.status != 404:
                    raise

        self._retried(f"pod {name} cannot be deleted", ask)

    def policies(self) -> list[dict[str, Any]]:
        """The NetworkPolicies of the namespace."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{self.namespace}/networkpolicies"
        found = self._retried("network policies cannot be listed", lambda _: self._call("GET", path))
        return [item for item in found.get("items") or [] if isinstance(item, dict)]

    def execute(self, pod: str, command: tuple[str, ...]) -> Channels:
        """Starts a command in a pod; retried only while the server has not accepted it."""
        query = [("command", part) for part in command]
        query += [("container", CONTAINER), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        path = f"/api/v1/namespaces/{self.namespace}/pods/{quote(pod)}/exec?{urlencode(query)}"
        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])

        def ask(attempt: int) -> Channels:
            return connect(self._client.configuration, path, headers)

        return self._retried(f"a command cannot be started in pod {pod}", ask)

    def _call(
        self, method: str, path: str, query: list[tuple[str, str]] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """Raises `ApiFailure`; status 0 means that there was no answer."""
        import urllib3
        from kubernetes.client.exceptions import ApiException

        if not path.startswith("/"):
            path = f"/api/v1/namespaces/{self.namespace}/{path}"
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        try:
            answer = self._client.rest_client.request(
                method,
                f"{self._client.configuration.host}{path}",
                query_params=query or [],
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=_TIMEOUTS,
            )
            status, pause = answer.status, answer.headers.get("Retry-After")
            content = answer.read(_MOST_BYTES + 1, decode_content=True)
            answer.release_conn() if len(content) <= _MOST_BYTES else answer.close()
        except ApiException as error:
            raise ApiFailure(error.status or 0, said(error.body or error.reason)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiFailure(0, f"{self.address} does not answer: {str(error)[:300]}") from error
        if not 200 <= status < 300:
            raise ApiFailure(status, said(content), pause)
        try:
            found = json.loads(content)  # fails for one that is cut
        except ValueError as error:
            raise ApiFailure(0, f"{self.address} answers with something that is not JSON") from error
        return found if isinstance(found, dict) else {}

    def _retried(self, what: str, ask: Callable[[int], Answer]) -> Answer:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS), wait=_pause, retry=retry_if_exception(_may_pass), reraise=True
        )
        try:
            for attempt in retrying:
                with attempt:
                    return ask(attempt.retry_state.attempt_number)
        except ApiFailure as failure:
            raise SandboxUnavailable(f"{what}: {_explained(failure)}") from failure
        raise AssertionError("tenacity neither returned nor raised")


def _client(options: PodOptions) -> Any:
    """The official client's `ApiClient`."""
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise SandboxUnavailable("the package kubernetes is missing: install Penstock's locked packages") from error

    configuration = client.Configuration()
    configuration.retries = False
    try:
        if options.config is not None or options.context:
            config.load_kube_config(
                str(options.config) if options.config else None,
                options.context or None,
                client_configuration=configuration,
                persist_config=False,
            )
        else:
            try:
                config.load_incluster_config(client_configuration=configuration)
            except config.ConfigException:
                config.load_kube_config(client_configuration=configuration, persist_config=False)
    except (config.ConfigException, OSError, ValueError, TypeError) as error:
        raise SandboxUnavailable(
            f"no cluster is configured ({str(error)[:200]}): set kubernetes_config to a kubeconfig file"
        ) from error
    return client.ApiClient(configuration)


def _pause(state: "RetryCallState") -> float:
    failure = state.outcome.exception() if state.outcome else None
    asked = failure.pause if isinstance(failure, ApiFailure) else None
    if asked is not None:
        return min(asked, _LONGEST_PAUSE)
    from tenacity import wait_random_exponential

    return wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE)(state)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ApiFailure) and (error.status == 0 or error.status in _PASSING or error.status >= 500)


def _explained(failure: ApiFailure) -> str:
    message = f"{failure} (status {failure.status})" if failure.status else str(failure)
    if failure.status in (401, 403) and "quota" not in str(failure) and "PodSecurity" not in str(failure):
        return f"{message}; {_APPLY}"
    return f"{message}; {_APPLY}" if failure.status == 404 else message
