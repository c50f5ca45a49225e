"""The routing proxy in front of model servers: `penstock model-proxy`, described in docs/model-proxy.md.

`app` takes requests; `relay` sends each to a replica that `routing` chooses from what `pool` and `probes` know. Not for
using a model, which is `core.chat` and `core.embedding`, nor for managing one, which is `core.ollama`.
"""
