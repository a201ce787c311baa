"""Whether a model is what it should be: prompts, smoke tests, baseline, survey, report. Asks servers."""
