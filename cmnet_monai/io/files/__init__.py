"""Files that are whole or not there: masks, tables, names, results."""
