"""What renders a model's chats: selected, given by the user, or changed in the header."""
