"""The test conversations on which ways to render chats are compared."""
