"""What a run has to show: result files, tables, pictures and one page that holds them all."""
