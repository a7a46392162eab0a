"""Cases: conversation, triage, clocks, queue and search."""
