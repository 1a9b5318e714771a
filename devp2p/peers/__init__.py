"""Which peers to have: who is let in, and when to dial again."""
