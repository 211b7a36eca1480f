"""What a run tells afterwards: statistics, reports, and what differs between two runs."""
