"""What each control did in a period: whether it was armed, what it was held against, and what came of that."""
