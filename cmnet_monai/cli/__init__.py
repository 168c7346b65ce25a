"""The command `cmnet-monai`: one file a group of commands; parse, call, exit code."""
