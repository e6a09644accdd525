"""How good a scorer is: what is measured on judged pairs, and the fits that come of it."""
