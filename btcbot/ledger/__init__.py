"""Fills to money: postings, average cost, profit and loss. Pure."""
