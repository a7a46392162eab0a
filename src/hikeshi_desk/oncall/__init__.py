"""Who is called for an urgent case: roster, ways to reach people, escalation until somebody has it."""
