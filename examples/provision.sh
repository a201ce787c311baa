#!/usr/bin/env bash
# Provision a server from a folder of GGUF files: every model in it, once; what is there is left alone.
#
#   OLLAMA_HOST=127.0.0.1:11434 examples/provision.sh /srv/models
#
# /srv/models holds one folder for each model (its file or its shards, and its projector, if it has one).
# The folder's name becomes the model's name. Run it as often as you like: it ends with 0 when all are there.
set -euo pipefail

models=${1:?usage: provision.sh FOLDER}
present=$(gguf2ollama list --json | python3 -c 'import json, sys; print(*(m["name"] for m in json.load(sys.stdin)))')

failed=0
for folder in "$models"/*/; do
  name=$(basename "$folder")
  if [[ " $present " == *" $name:latest "* ]]; then
    echo "$name: there already"
    continue
  fi
  if gguf2ollama build "$folder" --name "$name" --quiet; then
    echo "$name: made"
  else
    # 4: the file is damaged, 5: the server, 6: not what was asked for, 7: no room
    echo "$name: failed with exit code $?" >&2
    failed=1
  fi
done
exit $failed
