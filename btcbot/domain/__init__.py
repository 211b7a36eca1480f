"""The words: money, ids, instruments and every message. Imports nothing of ours."""
