"""What two rules on pre-trade controls ask for, and the evidence that there is here for each part of them."""
