"""Which value is best, how sure that is, and what to ask next: statistics without socket, file or clock."""
