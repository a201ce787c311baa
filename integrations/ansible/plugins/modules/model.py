#!/usr/bin/python
"""One model of an Ollama server."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: model
short_description: A model of an Ollama server
description:
  - Builds a model from a GGUF (a file, a repository, a URL), pulls one from a registry, or removes it.
  - It runs gguf2ollama, which has to be installed for the Python that runs the module.
  - Nothing is changed, and no weights are sent, if the model is as described.
options:
  name:
    description: Name of the model.
    required: true
    type: str
  state:
    description: Whether it should be there.
    choices: [present, absent]
    default: present
    type: str
  source:
    description: A file, a folder, C(owner/repo), C(owner/repo:QUANT), C(hf://), C(ms://) or a URL.
    type: str
  modelfile:
    description: Path of a Modelfile to build from, instead of O(source).
    type: path
  pull:
    description: Name under which the server pulls it from a registry, instead of O(source).
    type: str
  quant:
    description: Quantization, of a repository.
    type: str
  revision:
    description: Branch, tag or commit, of a repository.
    type: str
  context:
    description: Tokens of the context (C(8192) or C(8k)), C(auto), C(max) or C(server).
    type: str
  parameters:
    description: PARAMETER values; C(stop) may be a list.
    type: dict
  system:
    description: The system prompt.
    type: str
  template:
    description: A Go template.
    type: str
  chat_template:
    description: A Jinja chat template, or C(upstream).
    type: str
  update:
    description: When it is made again.
    choices: [when-changed, never, always]
    default: when-changed
    type: str
  verify:
    description: Whether it is loaded once to check its prompts.
    default: true
    type: bool
  host:
    description: Address of the server; C(OLLAMA_HOST) of the machine that runs the module by default.
    type: str
  token:
    description: Bearer token of the server.
    type: str
  ca:
    description: CA certificate (PEM) of the server.
    type: path
  via:
    description: How files reach the server.
    choices: [auto, link, pull, upload]
    default: auto
    type: str
author: The gguf2ollama authors
attributes:
  check_mode:
    support: full
    description: Says what would change, and changes nothing.
  diff_mode:
    support: full
    description: Shows what differs.
"""

EXAMPLES = r"""
- name: A small model
  gguf2ollama.ollama.model:
    name: smol
    source: HuggingFaceTB/SmolLM2-135M-Instruct-GGUF:Q8_0
    system: Be brief.
    parameters: {temperature: 0.3}

- name: No old one
  gguf2ollama.ollama.model:
    name: old-model
    state: absent
"""

RETURN = r"""
changes:
  description: What changed, or would change.
  returned: always
  type: list
  elements: dict
bytes_sent:
  description: Bytes of weights that the host was sent.
  returned: always
  type: dict
"""

import os

import yaml
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf2ollama.ollama.plugins.module_utils.provisioning import make, require_library

_OPTIONS = ("source", "modelfile", "pull", "quant", "revision", "context", "parameters", "system")
_TEXTS = ("template", "chat_template")
_TOKEN = "GGUF2OLLAMA_ANSIBLE_TOKEN"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "source": {"type": "str"},
            "modelfile": {"type": "path"},
            "pull": {"type": "str"},
            "quant": {"type": "str"},
            "revision": {"type": "str"},
            "context": {"type": "str"},
            "parameters": {"type": "dict"},
            "system": {"type": "str"},
            "template": {"type": "str"},
            "chat_template": {"type": "str"},
            "update": {
                "type": "str",
                "choices": ["when-changed", "never", "always"],
                "default": "when-changed",
            },
            "verify": {"type": "bool", "default": True},
            "host": {"type": "str"},
            "token": {"type": "str", "no_log": True},
            "ca": {"type": "path"},
            "via": {"type": "str", "choices": ["auto", "link", "pull", "upload"], "default": "auto"},
        },
        mutually_exclusive=[("source", "modelfile", "pull")],
        required_if=[("state", "present", ("source", "modelfile", "pull"), True)],
        supports_check_mode=True,
    )
    require_library(module)
    from gguf2ollama.errors import Gguf2OllamaError
    from gguf2ollama.fleet.file import parse_fleet

    given = {key: value for key, value in module.params.items() if value is not None}
    model = {key: given[key] for key in (*_OPTIONS, *_TEXTS) if key in given}
    if given["state"] == "absent":
        model = {"state": "absent"}
    elif "pull" not in model:
        model["verify"] = given["verify"]
    model["update"] = given["update"]
    host = {"url": given.get("host") or os.environ.get("OLLAMA_HOST") or "http://127.0.0.1:11434"}
    host["via"] = given["via"]
    environ = dict(os.environ)
    if "token" in given:
        host["token"] = {"env": _TOKEN}
        environ[_TOKEN] = given["token"]
    if "ca" in given:
        host["ca"] = given["ca"]
    text = yaml.safe_dump({"models": {given["name"]: model}, "hosts": {"ollama": host}}, sort_keys=False)
    try:
        fleet = parse_fleet(text, file="task", environ=environ)
    except Gguf2OllamaError as error:
        module.fail_json(msg=error.message)
    make(module, fleet, environ=environ)


if __name__ == "__main__":
    main()
