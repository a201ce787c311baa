#!/usr/bin/python
"""All models of a file, on all its hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: models
short_description: The models of a file on Ollama servers
description:
  - Makes the hosts of a file of models (C(ollama.models.yaml)) have what it says,
    as C(gguf2ollama apply) does.
  - It runs gguf2ollama, which has to be installed for the Python that runs the module.
options:
  file:
    description: Path of the file, on the machine that runs the module.
    required: true
    type: path
  host:
    description: Only this host of the file, by name or address; the server if the file has no hosts.
    type: str
  prune:
    description: Whether models that are not in the file are deleted; as the file says by default.
    type: bool
  force:
    description: Whether more than a third of the models of a host may be deleted.
    default: false
    type: bool
  environment:
    description: Variables with the credentials that the file names, in place of the module's environment.
    type: dict
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
- name: All models
  gguf2ollama.ollama.models:
    file: /etc/ollama/ollama.models.yaml
"""

RETURN = r"""
changes:
  description: What changed, or would change.
  returned: always
  type: list
  elements: dict
bytes_sent:
  description: Bytes of weights that each host was sent.
  returned: always
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.gguf2ollama.ollama.plugins.module_utils.provisioning import make, require_library


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "file": {"type": "path", "required": True},
            "host": {"type": "str"},
            "prune": {"type": "bool"},
            "force": {"type": "bool", "default": False},
            "environment": {"type": "dict", "no_log": True},
        },
        supports_check_mode=True,
    )
    require_library(module)
    from gguf2ollama.errors import Gguf2OllamaError
    from gguf2ollama.fleet.file import parse_fleet, read_text

    given = module.params
    environ = {**os.environ, **{key: str(value) for key, value in (given["environment"] or {}).items()}}
    try:
        fleet = parse_fleet(read_text(given["file"]), file=given["file"], environ=environ)
    except Gguf2OllamaError as error:
        module.fail_json(msg=error.message)
    make(module, fleet, host=given["host"], prune=given["prune"], force=given["force"], environ=environ)


if __name__ == "__main__":
    main()
