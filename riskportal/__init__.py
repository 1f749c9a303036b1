"""The top floor: settings, processes, urls and the commands that start things."""
