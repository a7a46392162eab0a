"""What a desk does with an incident: promises in business days and hours."""

from hikeshi.respond.clock import Calendar, Clock, business_day_after, due, pause, resume

__all__ = ["Calendar", "Clock", "business_day_after", "due", "pause", "resume"]
