"""The HTML page of a report and its pictures, from figures alone."""
