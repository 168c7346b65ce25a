"""Bytes to arrays and back: the only room that knows file formats."""
