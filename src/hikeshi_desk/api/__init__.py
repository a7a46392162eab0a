"""Other programs at the desk: consultations, alerts, cases and uploads under /api/v1/, and the tokens for them."""
