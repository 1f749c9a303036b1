"""Looking at published books: what one says, what two differ in, which was in force when, and how to go back to it."""
