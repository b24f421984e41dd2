"""Dead letters for operators: finding them, wherever a fork wrote them, and sending them again, none twice."""
