"""One module for each thing that an operator does: options, help and printing; no decision, no SSH."""
