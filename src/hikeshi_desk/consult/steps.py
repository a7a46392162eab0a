"""What the receipt says to do first: the same words as in the acknowledgement of a mail."""

from hikeshi_desk.cases.first_steps import FirstSteps, MoreAdvice, first_steps

__all__ = ["FirstSteps", "MoreAdvice", "first_steps"]
