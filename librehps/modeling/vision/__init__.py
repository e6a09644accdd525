"""From patches of pixels to rows that take the place of placeholder tokens."""
