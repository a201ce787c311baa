"""What the project is for: inspect a GGUF, write its Modelfile, build a model of it, verify one."""
