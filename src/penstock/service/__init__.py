"""What a person can do: the one layer under the command line and the console."""
