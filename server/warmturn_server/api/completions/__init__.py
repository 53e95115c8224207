"""`/v1/chat/completions`: for clients that send the whole history again."""
