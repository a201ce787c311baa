"""Whether a model is what it should be: tensors, prompts, smoke tests, baseline, survey, report.

Reads files and asks servers.
"""
