"""The source paper's tables and figures as experiments: declared, run step by step, reported from files."""
