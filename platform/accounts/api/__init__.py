"""The endpoints of who acts: oneself, one's tokens, one's devices."""
