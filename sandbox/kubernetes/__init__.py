"""The Kubernetes backend: each session is a pod of its own, commands run in it through the API's `exec`.

`manifests` makes the objects, `cluster` and `channels` speak to the API, `inside` holds the shell scripts that run in
the pod, `session` and `process` are what the sandbox protocol asks for, and `backend` puts them together. Only
`cluster` and `channels` import the Kubernetes client, and only when they are used.
"""
