"""One door for every channel: submit() keeps what was sent before it says thank you."""
