"""Formulas about votes, in NumPy alone: no model, no request, no page. Other rooms may use them too."""
