"""Images in: folders and array files, each file's facts, a model's input, near-duplicates, splits, audit."""
