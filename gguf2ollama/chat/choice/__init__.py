"""The choice of what renders a model's chats: the ways there are, what each costs, and the best of them."""
