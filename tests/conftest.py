"""What holds for every test."""

from hypothesis import settings

# A machine that is busy is slow, and not wrong. All else stays as hypothesis has it, in CI too.
settings.register_profile("btcbot", parent=settings(), deadline=None)
settings.load_profile("btcbot")
